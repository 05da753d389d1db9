"""What a codec raises."""


class MalformedAnswer(ValueError):
    """An answer of Cohere's is not what Cohere documents: not JSON, or a member of another type.

    The message names the place as a JSON Pointer and holds nothing of the answer's content.
    """
