"""Figures and Markdown tables as text."""


def number(value, decimals):
    """A figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.{decimals}f}"


def spread(summary, metric, decimals):
    """Median, lowest and highest of a metric."""
    entry = summary.get(metric)
    if entry is None:
        return "-"
    return (
        f"{entry['median']:.{decimals}f} ({entry['min']:.{decimals}f}-{entry['max']:.{decimals}f})"
    )


def table(rows):
    """A Markdown table; the first row is its heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        fields = [
            row[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("| " + " | ".join(fields) + " |")
        if number == 0:
            lines.append(
                "| "
                + " | ".join(["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])])
                + " |"
            )
    return "\n".join(lines)
