"""The application `text_matching`: two texts, one class for the pair."""

from app_zoo.base import Application


class TextMatching(Application):
    """Inference pairs, question pairs: `text` and `text_pair` are classified together."""

    pair = True
