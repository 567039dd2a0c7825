"""How large a convolution's output is."""


def feature_map_size(size: int, kernel_size: int, padding: int = 0, stride: int = 1) -> int:
    """The side of the feature map that a convolution or pooling layer makes of an image with the side `size`.

    O = floor((I - K + 2P) / S + 1), for I pixels, a kernel of K, P pixels of padding on each side and a stride of S.
    Raises ValueError when the kernel does not fit into the padded image.

    Source: the output shape in the documentation of torch.nn.Conv2d, with a dilation of 1.
    """
    if kernel_size > size + 2 * padding:
        raise ValueError(f"a kernel of {kernel_size} does not fit an image of {size} with a padding of {padding}")
    return (size - kernel_size + 2 * padding) // stride + 1
