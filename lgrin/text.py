"""Text that others wrote, made fit for terminals, warnings, pages and names of files."""

import html


def one_line(text: object, longest: int = 300) -> str:
    """Converts any text to one line, in which control codes are escaped.

    Args:
        text: Text that others wrote, such as a name or an error about a file.
        longest: Characters that are kept.

    Returns:
        Printable characters only; a text that was cut ends in three dots.

    Example:
        >>> print(one_line("calm\\x1b[2J\\nglad"))
        calm\\x1b[2J\\nglad
    """
    given = str(text)
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in given[:longest])
    return shown + "..." * (len(given) > longest)


def cell(text: object, longest: int = 1000) -> str:
    """Converts any text to one cell of a table in Markdown, in which nothing is markup.

    Args:
        text: Text that others wrote.
        longest: Characters that are kept.

    Returns:
        One line in which what Markdown and HTML would obey is written as HTML's entities.

    Example:
        >>> cell("<b>glad</b> | [calm](x)")
        '&lt;b&gt;glad&lt;/b&gt; &#124; &#91;calm&#93;(x)'
    """
    shown = html.escape(one_line(text, longest), quote=False)
    return "".join(f"&#{ord(sign)};" if sign in "\\`*[]|~$" else sign for sign in shown)


def file_name(title: str) -> str:
    """Turns a title into the name of a file or folder: what is no letter and no digit becomes a hyphen.

    Args:
        title: The title.

    Returns:
        The name.

    Example:
        >>> file_name("L-GrIN, seed 3")
        'L-GrIN--seed-3'
    """
    return "".join(letter if letter.isalnum() else "-" for letter in title)
