"""The `easymft` command."""

import errno
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from app_zoo.registry import MODES, resolve_application
from app_zoo.usage import render_help, render_version
from easymft.config.expectations import nearest
from easymft.errors import ConfigError, EasyMFTError

if TYPE_CHECKING:
    from easymft.config.schema import ExperimentConfig

# pydantic and the applications (TensorFlow) are imported inside the functions that need them, so that --help is quick.

_FLAGS = ("mode", "config", "set", "dry_run", "dump_config", "sample", "version", "help")
_OS_ERROR = re.compile(r"I/O error: (.*?) \(os error \d+\)")  # as safetensors tells what the system said
_OUT_OF_MEMORY = re.compile(r"OOM when allocating (.*?)(?: by allocator.*)?$", re.MULTILINE)
# A full disk, a full quota, or a limit on the size of files (ulimit -f).
_NO_ROOM = {number: os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)}
_MAKE_ROOM = "; make room and run the same command again"
_LESS_MEMORY = (
    "less is needed with train.accumulation_steps, train.gradient_checkpointing, a smaller batch_size "
    "(of mft.typicality, evaluation or prediction) or a shorter data.max_sequence_length"
)
_USE_UTF8 = "set PYTHONUTF8=1 in the environment"
_BFLOAT16_VARIABLE = "TF_SET_ONEDNN_FPMATH_MODE"


class _Arguments(NamedTuple):
    mode: str | None
    config: str | None
    overrides: list[str]
    dry_run: bool
    dump_config: bool
    sample: str | None
    version: bool
    help: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: The words after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 2 after a user's mistake (told on stderr, a line for each), 130 after an interrupt.
    """
    _open_closed_streams()
    _accept_any_character()
    try:
        code = _run(_parse(_readable(sys.argv[1:] if argv is None else argv)))
        sys.stdout.flush()
        return code
    except EasyMFTError as error:
        for line in str(error).splitlines():
            print(f"easymft: error: {line}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as in `easymft --help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails when it flushes at exit
        return 2
    except Exception as error:
        line = _tell_lack(error)
        if line is None:
            raise
        print(f"easymft: error: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("easymft: interrupted; the same command goes on (training: from the last saved state)", file=sys.stderr)
        return 130


def _open_closed_streams() -> None:
    """Lets the streams of a process that was started without them (`>&-`) lead nowhere.

    Else the first files that the run opens would take their numbers, and what a library prints would go into them.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  for as long as the process


def _readable(words: Sequence[str]) -> list[str]:
    """The words of the command.

    Raises:
        ConfigError: One holds bytes that are no text in the locale's encoding.
    """
    for word in words:
        if any("\ud800" <= character <= "\udfff" for character in word):
            encoding = sys.getfilesystemencoding()
            hint = "use other names" if encoding == "utf-8" else _USE_UTF8
            raise ConfigError(f"{word!a}: is no text in the locale's encoding, {encoding}; {hint}")
    return list(words)


def _check_file_names(config: "ExperimentConfig") -> None:
    """Raises ConfigError where a path cannot be a file's name in the locale: each would seem to be missing."""
    data, prediction = config.data, config.prediction
    paths: dict[str, list[str | None]] = {
        "output_folder": [config.output_folder],
        **{f"data.{split}_files": list(getattr(data, f"{split}_files")) for split in ("train", "dev", "test")},
        "data.cache_folder": [data.cache_folder],
        "model.weights": [config.model.weights],
        "model.vocabulary_file": [config.model.vocabulary_file],
        "model.cache_folder": [config.model.cache_folder],
        "prediction.input_files": list(prediction.input_files),
        "prediction.output_file": [prediction.output_file],
    }
    for setting, given in paths.items():
        for path in filter(None, given):
            try:
                os.fsencode(path)
            except UnicodeEncodeError:
                encoding = sys.getfilesystemencoding()
                raise ConfigError(
                    f"{setting}: {path!a} cannot be a file's name in the locale's encoding, {encoding}; {_USE_UTF8}"
                ) from None


def _accept_any_character() -> None:
    """Lets standard output write "?" for what its encoding lacks, in place of an error amid a run."""
    if hasattr(sys.stdout, "reconfigure"):  # not where a test or a notebook has replaced it
        sys.stdout.reconfigure(errors="replace")


def _tell_lack(error: Exception) -> str | None:
    """What to tell of an error of the machine: a file, the disk or the memory; None for any other error."""
    if isinstance(error, OSError):
        full = error.errno in _NO_ROOM
        if not full and error.filename is None:
            return None
        return f"{error.filename or 'the output folder'}: {error.strerror}{_MAKE_ROOM if full else ''}"
    if isinstance(error, MemoryError):
        return f"out of memory: {error or 'no more for Python'}; {_LESS_MEMORY}"
    # By their names, as naming the classes would import TensorFlow and safetensors.
    if type(error).__name__ not in ("ResourceExhaustedError", "SafetensorError", "UnknownError", "OutOfRangeError"):
        return None
    full = next((words for words in _NO_ROOM.values() if words in str(error)), None)
    if full is not None:
        return f"the output folder: {full}{_MAKE_ROOM}"
    told = _OS_ERROR.search(str(error))
    if told:
        return f"the output folder: {told[1]}"
    found = _OUT_OF_MEMORY.search(str(error))
    return found and f"out of memory: {found[1]}; {_LESS_MEMORY}"


def _parse(words: list[str]) -> _Arguments:
    values = flags.FlagValues()  # Our own: the process-wide one holds the flags of every imported library.
    flags.DEFINE_string("mode", None, "", flag_values=values)
    flags.DEFINE_string("config", None, "", flag_values=values)
    flags.DEFINE_multi_string("set", [], "", flag_values=values)
    flags.DEFINE_boolean("dry_run", False, "", flag_values=values)
    flags.DEFINE_boolean("dump_config", False, "", flag_values=values)
    flags.DEFINE_string("sample", None, "", flag_values=values)
    flags.DEFINE_boolean("version", False, "", flag_values=values)
    flags.DEFINE_boolean("help", False, "", short_name="h", flag_values=values)
    values.set_gnu_getopt(True)
    try:
        rest = values(["easymft", *words])[1:]
    except flags.UnrecognizedFlagError as error:
        hint = nearest(f"--{error.flagname}", [f"--{name}" for name in _FLAGS])
        raise ConfigError(f"unknown option --{error.flagname}; {hint} (see easymft --help)") from None
    except flags.IllegalFlagValueError as error:
        raise ConfigError(f"{str(error).split(': ')[0]}: not a value that it takes (see easymft --help)") from None
    except flags.Error as error:
        raise ConfigError(" ".join(str(error).split())) from None
    mode = _mode(values.mode, rest)
    asked = values.help or not words
    return _Arguments(
        mode, values.config, values.set, values.dry_run, values.dump_config, values.sample, values.version, asked
    )


def _mode(given: str | None, words: list[str]) -> str | None:
    """The mode after --mode, or the first word: `easymft validate` is `easymft --mode validate`."""
    if given is None and words:
        given, *words = words
    if given is not None and given not in MODES:
        raise ConfigError(f'unknown mode "{given}"; {nearest(given, list(MODES))}')
    if words:
        meant = f"did you mean --config {words[0]}?" if words[0].endswith(".json") else "every option starts with --"
        raise ConfigError(f'unexpected word "{words[0]}"; {meant} (see easymft --help)')
    return given


def _run(arguments: _Arguments) -> int:
    if arguments.help:
        sys.stdout.write(render_help(arguments.mode))
        return 0
    if arguments.version:
        sys.stdout.write(render_version())
        return 0
    if arguments.sample is not None:
        from app_zoo.sample import write_sample

        sys.stdout.write(write_sample(Path(arguments.sample)))
        return 0
    if arguments.mode is None and not arguments.dump_config:
        raise ConfigError(f"--mode is missing; one of {', '.join(MODES)} (see easymft --help)")
    if arguments.config is None:
        raise ConfigError("--config is missing; easymft --sample FOLDER writes some to begin with (see easymft --help)")
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError("the folder that the command runs in has been removed; go to another one (cd)") from None
    from easymft.config.loading import dump_config, load_config
    from easymft.data.sources import look_beside

    config = load_config(arguments.config, arguments.overrides, mode=arguments.mode)
    if arguments.dump_config or arguments.mode is None:
        sys.stdout.write(dump_config(config))
        return 0
    _check_file_names(config)
    _prepare_environment()
    warnings.showwarning = _teller()
    look_beside(Path(arguments.config).parent)
    application = resolve_application(config.application)(config)
    with _saving_when_told_to_end():
        application.run(arguments.mode, dry_run=arguments.dry_run)
    return 0


def _teller() -> Callable[..., None]:
    """Shows each warning once; files are read several times, and libraries make Python forget what it has shown."""
    told: set[str] = set()

    def show(message: Warning | str, *_: object) -> None:
        if str(message) not in told:
            told.add(str(message))
            print(f"easymft: warning: {message}", file=sys.stderr)

    return show


@contextmanager
def _saving_when_told_to_end() -> Iterator[None]:
    """Takes what a scheduler sends, or a terminal that closes, for Ctrl-C: training then saves its state first."""
    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hang-up is to be ignored; and signals are the main thread's.
        if signal.getsignal(number) == signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_environment() -> None:
    """Sets what TensorFlow reads once, when it is imported: how much it logs, and how it multiplies float32."""
    # Without an NVIDIA driver TensorFlow logs an error that there is none; what goes wrong in earnest is raised anyway.
    quiet = "2" if os.path.exists("/proc/driver/nvidia") else "3"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", quiet)
    if os.environ.pop(_BFLOAT16_VARIABLE, None) is not None:
        note = f"{_BFLOAT16_VARIABLE} of the environment is not used; runtime.precision decides"
        print(f"easymft: note: {note}", file=sys.stderr)
    for name in ("tensorflow", "absl", "tf_keras", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # google.api_core, which TensorFlow imports, says so on Python 3.10, and of itself alone.
    warnings.filterwarnings("ignore", "You are using a non-supported Python version", FutureWarning)


if __name__ == "__main__":
    sys.exit(main())
