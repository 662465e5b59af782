"""How strong each level of each family is: ten values a family, for levels 1 to 10. Level 0 is the clean picture.

The papers that this follows (arXiv 2406.17614 and the one before it) name seven families and ten levels, and not one
value. So all values here are ours, set on GRID mouths: level 1 is just visible (about 39 dB), level 10 leaves hardly
more than where the mouth is, and between them corruption, the mean of the fall in PSNR and the fall in SSIM, grows by
about the same from level to level (docs/noise.md has the figures). Each comment says where the values of others stand:
of DeeperForensics-1.0, which knows no size of frame, and of ImageNet-C, made for pictures of 224 pixels.

Lengths are in mouth pixels: a mouth crop is 96 of them wide, and a full frame 256 on its shorter side.
"""

from __future__ import annotations

# Share of the picture under grey squares of BLOCK pixels. DeeperForensics draws 16 to 80 squares of 8 px for every 256
# px of the shorter side, rounded down: 0.016 to 0.078 of a frame of 256x256, up to our level 3; a smaller share of a
# larger frame, and none at all of a mouth crop.
BLOCK = 8
BLOCKWISE = (0.03, 0.05, 0.075, 0.115, 0.16, 0.22, 0.28, 0.36, 0.46, 0.6)

# Standard deviation of the Gaussian. DeeperForensics 1.2 to 3.5. ImageNet-C 1 2 3 4 6 on its pictures, 0.43 to 2.6 on
# ours, up to our level 5.
BLUR = (1.0, 1.3, 1.7, 2.2, 2.7, 3.3, 4.0, 5.0, 6.5, 9.0)

# Length of the line over which a point is smeared. ImageNet-C smears to one side, with the weights of half a Gaussian;
# a line with their standard deviation has 2.8 to 13 of our pixels, up to our level 6.
MOTION = (4, 5, 7, 9, 11, 13, 17, 20, 26, 36)

# Side of a cell that becomes one value. ImageNet-C 1.7 to 4 on its pictures, 0.7 to 1.7 on ours: up to our level 1.
# What DeeperForensics calls JPEG is a resize by 2 to 6 and would be called pixelation here. Sizes between these may
# corrupt less than a smaller one, where an edge of the cells happens to meet one of the lips.
PIXELATE = (1.7, 2.23, 2.75, 3.3, 4.0, 4.8, 5.65, 7.4, 10.7, 16.0)

# Quality of JPEG. ImageNet-C 25 18 15 10 7, our levels 3 to 7.
JPEG = (50, 32, 22, 16, 12, 9, 7, 5, 4, 3)

# Standard deviation of the noise in grey levels of 255. DeeperForensics 9 13 21 30 66 in luma. ImageNet-C 20 31 46 66
# 97, and 10 to 25 in its version for pictures of 32 pixels.
GAUSSIAN = (3.0, 4.7, 6.7, 9.0, 12.0, 16.0, 21.0, 29.0, 42.0, 70.0)

# What is left of each pixel's distance from the mean of its frame. ImageNet-C 0.4 0.3 0.2 0.1 0.05, our levels 6 to 10.
# DeeperForensics multiplies the pixels themselves by 0.85 to 0.35, which darkens them too.
CONTRAST = (0.88, 0.81, 0.72, 0.61, 0.5, 0.4, 0.31, 0.22, 0.14, 0.06)
