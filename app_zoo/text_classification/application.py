"""The application `text_classification`: one text, one class."""

from app_zoo.base import Application


class TextClassification(Application):
    """Reviews, tickets, messages: the column `text` is classified."""

    pair = False
