"""What decoders raise. As the errors of a script are shown with their types, these say whose fault it is."""


class WrongOption(ValueError):
    """The options of a stream are wrong; the text names the option."""


class WrongMessage(ValueError):
    """A message cannot be read or applied; the text says why."""
