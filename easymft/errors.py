"""Errors that EasyMFT raises for mistakes a user can mend.

The command line prints their message as it is and ends with exit code 2, so a message is complete on its own: what was
found where, and what was expected.
"""


def one_line(error: Exception) -> str:
    """The text of another library's error on one line."""
    return " ".join(str(error).split())


class EasyMFTError(Exception):
    """Base of all errors that name a user's mistake rather than a defect of the program."""


class ConfigError(EasyMFTError):
    """A config file, an override or a combination of settings is not valid."""


class DataError(EasyMFTError):
    """An input file or one of its rows is not valid."""


class CheckpointError(EasyMFTError):
    """Weights are missing, damaged, or do not fit the model they are loaded into."""


class DamagedError(EasyMFTError):
    """A file that EasyMFT wrote does not hold any more what was written; whoever needs it says what to do."""


class DivergenceError(EasyMFTError):
    """A model gives outputs that are not finite, as after training with too large a learning rate."""


class JobError(EasyMFTError):
    """A job of an experiment ended in an error, which it told in a process of its own."""


class ExportError(EasyMFTError):
    """A model cannot be exported, or its export failed a check."""
