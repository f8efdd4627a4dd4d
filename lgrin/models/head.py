"""What follows a readout."""

from torch.nn import Dropout, Linear, PReLU, Sequential
from torch.nn.init import xavier_uniform_, zeros_

from lgrin.options import check_number


def make_head(width: int, head_channels: int | None, num_classes: int, dropout: float) -> Sequential:
    """Builds the layers from what is read out of a sequence to its logits.

    Args:
        width: Channels of the readout.
        head_channels: ``None`` makes it dropout and Linear; h makes it Linear, dropout, PReLU(h), Linear.
        num_classes: Classes, C.
        dropout: Probability of dropping a channel.

    Returns:
        The head, its weights drawn.

    Raises:
        ValueError: If the probability is none.

    Example:
        >>> make_head(10, None, num_classes=2, dropout=0.5)
        Sequential(
          (0): Dropout(p=0.5, inplace=False)
          (1): Linear(in_features=10, out_features=2, bias=True)
        )
    """
    dropout = check_number("dropout", dropout, maximum=1)
    if head_channels is None:
        head = Sequential(Dropout(dropout), Linear(width, num_classes))
    else:
        head = Sequential(
            Linear(width, head_channels), Dropout(dropout), PReLU(head_channels), Linear(head_channels, num_classes)
        )
    reset_head(head)
    return head


def reset_head(head: Sequential) -> None:
    """Draws the weights of a head again.

    Args:
        head: The head.

    Example:
        >>> reset_head(make_head(10, 4, num_classes=2, dropout=0.5))
    """
    for module in head:
        if isinstance(module, Linear):
            xavier_uniform_(module.weight)
            if module.bias is not None:
                zeros_(module.bias)
        elif isinstance(module, PReLU):
            module.reset_parameters()
