"""How strong each level of each family is. Ten values a family, for levels 1 to 10; level 0 is the clean picture.

Lengths are in mouth pixels: a mouth crop is 96 of them wide, a full frame counts 256 on its shorter side. The paper
whose noise this follows (arXiv 2406.17614 and the one before it) names seven families and ten levels and gives no value
of any. So all values are OURS. They were set on GRID mouths so that harm, read as the mean of the fall in SSIM and the
fall in PSNR, grows by about the same from level to level, from just visible to nearly destroyed (docs/noise.md has the
measured figures). Each comment says where the values of others would stand on our scale.
"""

from __future__ import annotations

# Share of the picture under grey squares of BLOCK pixels. DeeperForensics-1.0 puts 16 to 80 squares of 8 px on a frame
# 256 px high: at most 0.08 of a square one, which is between our levels 1 and 2.
BLOCKWISE = (0.03, 0.07, 0.12, 0.18, 0.25, 0.33, 0.42, 0.52, 0.63, 0.75)
BLOCK = 8

# Standard deviation of the Gaussian, pixels. DeeperForensics: 1.2 to 3.5 (kernels of 7 to 21, a sixth of that each).
# ImageNet-C: 1 2 3 4 6 on 224 px, that is 0.43 to 2.6 on 96.
BLUR = (0.6, 0.9, 1.2, 1.6, 2.0, 2.5, 3.1, 3.9, 5.0, 6.5)

# Length of the line that a point is smeared over, pixels. ImageNet-C smears one-sidedly by a Gaussian of sigma 3 to 15
# on 224 px, whose mean and its like on both sides make some 4 to 20 on 96.
MOTION = (2.0, 3.0, 4.0, 5.5, 7.0, 9.0, 11.5, 15.0, 20.0, 27.0)

# Side of a cell that becomes one value, pixels. ImageNet-C: 1.7 to 4 on 224 px, 0.7 to 1.7 on 96. DeeperForensics'
# "JPEG" is a resize by 2 to 6, and would be called pixelation here.
PIXELATE = (1.4, 2.0, 2.7, 3.5, 4.5, 5.7, 7.2, 9.2, 12.0, 16.0)

# Quality of real JPEG, each frame on its own. ImageNet-C: 25 18 15 10 7, our levels 5 to 9. (What the paper calls JPEG
# video compression is probably H.264, as in DeeperForensics, or a resize.)
JPEG = (75, 55, 40, 30, 22, 16, 11, 8, 5, 2)

# Standard deviation of the noise, grey levels of 255. DeeperForensics: 9.4 13 21 30 66 in luma. ImageNet-C: 20 31 46 66
# 97 on 224 px, and 10 to 25 on 32 px.
GAUSSIAN = (3, 6, 10, 15, 21, 28, 37, 49, 66, 97)

# What is left of every pixel's distance from the mean of its frame. ImageNet-C: 0.4 0.3 0.2 0.1 0.05. DeeperForensics
# multiplies the pixels themselves, 0.85 to 0.35, which darkens them too.
CONTRAST = (0.88, 0.76, 0.65, 0.54, 0.44, 0.35, 0.26, 0.18, 0.11, 0.05)
