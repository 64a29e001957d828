from .card import Card as Card, bundled as bundled
from .fetch import fetch as fetch
from .load import (
    default_for as default_for,
    load_prior as load_prior,
    load_supervised as load_supervised,
    save as save,
)
