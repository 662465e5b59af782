"""Every word of every command: one that means nothing there ends in one line with the nearest right one.

The commands are taken from the program itself, so that a new one, or a new option, is tried here too.
"""

import signal

import pytest
import typer.main

from avsr_bench import cli

HELP = ("-h", "--help")


def commands(command, path=()):
    """Every command with its words, the groups among them."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


PROGRAM = typer.main.get_command(cli.app)  # made once: it takes longer than to run a command
ALL = dict(commands(PROGRAM))
GROUPS = [path for path, command in ALL.items() if hasattr(command, "commands")]
VERBS = [path for path in ALL if path not in GROUPS]


def params(path, kind):
    return [param for param in ALL[path].params if param.param_type_name == kind and "--help" not in param.opts]


def name_of(option):
    return max(option.opts, key=len)


def takes_value(option):
    return not option.is_flag


def choices(param):
    return [str(choice) for choice in param.type_descriptor.choices or ()]


def value_for(param):
    return next(iter(choices(param)), "1")


def needed(path, without=None):
    """The words that a command cannot do without, with a place for each of its single arguments filled."""
    words = [value_for(param) for param in params(path, "argument") if param.nargs == 1 or param.required]
    for param in params(path, "option"):
        if param.required and param is not without:
            words += [name_of(param), value_for(param)]
    return words


def misspelt(word):
    """A letter in the middle doubled: nothing is nearer than the word itself."""
    place = (len(word) + 1) // 2
    return word[:place] + word[place - 1] + word[place:]


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run a command that must end with 2 and one line; gives the line."""
    heard = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(typer.main, "get_command", lambda app: PROGRAM)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["avsr-bench", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == 2, (words, out, err)
        assert out == "" and err.count("\n") == 1 and err.startswith("avsr-bench: "), (words, out, err)
        return err

    yield run
    signal.signal(signal.SIGINT, heard)


def test_the_program_was_walked():
    assert ("noise", "apply") in VERBS and ("leaderboard",) in GROUPS and len(VERBS) > 15


@pytest.mark.parametrize("path", GROUPS)
def test_a_misspelt_command_is_answered_with_the_nearest(path, refused):
    for name in ALL[path].commands:
        assert f"no command {misspelt(name)!r}. Did you mean {name}?" in refused(*path, misspelt(name))
    assert "no option --helpp. Did you mean --help?" in refused(*path, "--helpp")


@pytest.mark.parametrize("path", VERBS)
def test_a_surplus_word_is_refused(path, refused):
    many = [param for param in params(path, "argument") if param.nargs == -1]
    if many and "KEY=VALUE" not in many[0].metavar:
        pytest.skip("takes any number of files")
    assert "'surplus'" in refused(*path, *needed(path), "surplus")
    assert "'surplus'" in refused(*path, *needed(path), "--", "surplus")


@pytest.mark.parametrize("path", VERBS)
def test_a_misspelt_option_is_answered_with_the_nearest(path, refused):
    for option in params(path, "option"):
        wrong = misspelt(name_of(option))
        assert f"no option {wrong}. Did you mean {name_of(option)}?" in refused(*path, *needed(path), wrong, "1")
    for short in ("--", "-"):  # `-seed` is no bundle of short options, and `--se` no abbreviation
        for option in params(path, "option"):
            wrong = short + name_of(option)[2:-1]
            assert f"no option {wrong}." in refused(*path, *needed(path), wrong, "1")


@pytest.mark.parametrize("path", VERBS)
def test_a_misspelt_choice_is_answered_with_the_nearest(path, refused):
    for option in params(path, "option"):
        for choice in choices(option):
            line = refused(*path, *needed(path, without=option), name_of(option), misspelt(choice))
            assert line.endswith(f"Did you mean {choice}?\n") and misspelt(choice) in line


@pytest.mark.parametrize("path", VERBS)
def test_an_option_is_given_once_and_with_its_value(path, refused):
    for option in params(path, "option"):
        name, others = name_of(option), needed(path, without=option)
        value = [value_for(option)] if takes_value(option) else []
        if not option.multiple:
            assert f"{name} is given 2 times" in refused(*path, *others, name, *value, name, *value)
        if value:
            assert f"{name} lacks its value" in refused(*path, *others, name)
            assert f"{name} lacks its value" in refused(*path, *others, name, "--help-me")
            assert f"{name} is empty" in refused(*path, *others, name, "")
            assert f"{name} is empty" in refused(*path, *others, f"{name}= ")
        else:
            assert f"{name} takes no value" in refused(*path, *others, f"{name}=1")


@pytest.mark.parametrize("path", [path for path in VERBS if any(p.required for p in ALL[path].params)])
def test_what_is_missing_is_named_with_what_it_is_for(path, refused):
    assert " lacks " in refused(*path)
    for argument in params(path, "argument"):
        if argument.required:
            assert "is empty" in refused(*path, *("" for word in needed(path)))
    for option in params(path, "option"):
        if option.required:
            assert f"lacks {name_of(option)}: {option.help}" in refused(*path, *needed(path, without=option))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("evaluate", "x", "seed=1"), "There is: sound, sound.babble, sound.snr_over."),
        (("evaluate", "x", "seed", "1"), "Did you mean --seed?"),
        (("evaluate", "x", "babble:0"), "Did you mean --sound babble:0?"),
        (("evaluate", "x", "--seed", "a"), "--seed a: it should be a valid integer"),
        (("evaluate", "x", "--limit", "0"), "--limit 0: it should be greater than or equal to 1"),
        (("evaluate", "x", "y" * 500), "yyy…"),
        (("evaluate", "x", "half \udcff"), r"half \\udcff"),
        (("prep", "synth", "--part", "0/0"), "1 <= i <= n"),
    ],
)
def test_the_line_says_what_was_meant(words, says, refused):
    assert says in refused(*words)


@pytest.mark.parametrize("words", [("prep", "folder", "--root", "s3://a/b"), ("train", "dense", "--out", "gs://a/b")])
def test_a_path_that_is_an_address_is_refused(words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["avsr-bench", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2 and f"{words[2]} {words[3]}: give a path of this machine" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
