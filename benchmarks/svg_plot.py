"""Plots as SVG with nothing but the standard library: lines on two axes, each linear or logarithmic."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 84, 190, 48, 64
COLOURS = ["#1f6fb4", "#d1495b", "#3a8f4d", "#8a5fbf", "#c7832b", "#4b5563"]


class Axis:
    def __init__(self, low, high, length, log=True):
        if log and low <= 0:
            raise ValueError(f"a logarithmic axis cannot begin at {low}")
        self.low, self.high, self.length, self.log = low, high, length, log

    def place(self, value):
        if self.log:
            value = min(max(value, self.low), self.high)
            return (math.log10(value / self.low) / math.log10(self.high / self.low)) * self.length
        return (value - self.low) / (self.high - self.low) * self.length

    def ticks(self):
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            return [10.0**e for e in range(first, last + 1) if self.low <= 10.0**e * 1.0001 and 10.0**e <= self.high * 1.0001]
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        while (self.high - self.low) / step > 8:
            step *= 2
        count = int((self.high - self.low) / step + 1e-9)
        return [self.low + step * index for index in range(count + 1)]


def _text(x, y, text, size=13, anchor="middle", extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>'
            f"{escape(text)}</text>")


def _frame(title, x_title, y_title):
    bottom = HEIGHT - BOTTOM
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" fill="#1f2937">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 26, title, 16, "start", 'font-weight="bold"'),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_title),
        _text(20, (TOP + bottom) / 2, y_title, 13, "middle",
              f'transform="rotate(-90 20 {(TOP + bottom) / 2:.1f})"'),
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{bottom - TOP}" '
        'fill="none" stroke="#9ca3af"/>',
    ]


def _y_ticks(axis, label):
    bottom, parts = HEIGHT - BOTTOM, []
    for tick in axis.ticks():
        y = bottom - axis.place(tick)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>')
        parts.append(_text(LEFT - 8, y + 4, label(tick), 12, "end"))
    return parts


def line_plot(title, x_title, y_title, series, x_label, y_label, marks=()):
    """`series`: {name: [(x, y), ...]}; `marks`: [(x, text)] vertical lines. The SVG's text."""
    points = [point for line in series.values() for point in line]
    if not points:
        raise ValueError(f"{title}: nothing to plot")
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x_axis = Axis(min(xs), max(xs), WIDTH - LEFT - RIGHT)
    y_axis = Axis(10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys)) + 1e-9),
                  HEIGHT - TOP - BOTTOM)
    bottom = HEIGHT - BOTTOM
    parts = _frame(title, x_title, y_title) + _y_ticks(y_axis, y_label)
    for tick in x_axis.ticks():
        x = LEFT + x_axis.place(tick)
        parts.append(f'<path d="M{x:.1f} {bottom}V{TOP}" stroke="#e5e7eb"/>')
        parts.append(_text(x, bottom + 18, x_label(tick), 12))
    for x, text in marks:
        place = LEFT + x_axis.place(x)
        parts.append(f'<path d="M{place:.1f} {bottom}V{TOP}" stroke="#4b5563" stroke-dasharray="4 4"/>')
        parts.append(_text(place + 4, TOP + 14, text, 11, "start"))
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{LEFT + x_axis.place(x):.1f},{bottom - y_axis.place(y):.1f}" for x, y in sorted(line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 12 + 20 * index
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {y}h22" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(WIDTH - RIGHT + 40, y + 4, name, 12, "start"))
    return "\n".join(parts + ["</svg>", ""])


def bar_plot(title, y_title, groups, names, y_label):
    """`groups`: {label: [value per name]}, on a logarithmic axis. The SVG's text."""
    values = [value for group in groups.values() for value in group]
    if not values:
        raise ValueError(f"{title}: nothing to plot")
    y_axis = Axis(10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)) + 1e-9),
                  HEIGHT - TOP - BOTTOM)
    bottom = HEIGHT - BOTTOM
    parts = _frame(title, "", y_title) + _y_ticks(y_axis, y_label)
    slot = (WIDTH - LEFT - RIGHT) / len(groups)
    bar = slot * 0.8 / len(names)
    for place, (label, group) in enumerate(groups.items()):
        begin = LEFT + place * slot + slot * 0.1
        for index, value in enumerate(group):
            height = max(y_axis.place(value), 1)
            parts.append(f'<rect x="{begin + index * bar:.1f}" y="{bottom - height:.1f}" width="{bar - 2:.1f}" '
                         f'height="{height:.1f}" fill="{COLOURS[index % len(COLOURS)]}"/>')
            parts.append(_text(begin + (index + 0.5) * bar - 1, bottom - height - 4, y_label(value), 10))
        parts.append(_text(begin + slot * 0.4, bottom + 18, label, 12))
    for index, name in enumerate(names):
        y = TOP + 12 + 20 * index
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 6}" width="14" height="12" fill="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 34, y + 4, name, 12, "start"))
    return "\n".join(parts + ["</svg>", ""])


def duration(nanoseconds):
    """"200 ns", "5 us", "1.5 ms": three digits at the most."""
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")):
        if nanoseconds >= size * 0.9995 or unit == "ns":
            return f"{nanoseconds / size:.3g} {unit}"
    return ""
