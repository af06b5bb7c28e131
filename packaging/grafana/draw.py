#!/usr/bin/env python3
"""Draws the dashboard without Grafana: each panel's own queries, asked of a Prometheus, as plain SVG in one HTML page.

For docs/pictures/dashboard.png, and to look at a change of tunneld.json. Grafana draws the same panels in its own style.

    packaging/grafana/draw.py http://127.0.0.1:9090 --minutes 60 > dashboard.html
    chromium --headless --no-sandbox --hide-scrollbars --window-size=1400,1500 --screenshot=dashboard.png dashboard.html
"""
import argparse, html, json, pathlib, time, urllib.parse, urllib.request

COLOURS = ["#5794f2", "#73bf69", "#f2cc0c", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#1f60c4", "#c4162a", "#8f3bb8"]
COLUMN, ROW, GAP, POINTS = 56, 38, 8, 240
STEPS = {"green": "#299c46", "red": "#d44a3a", "orange": "#ed8128", "blue": "#3274d9"}


def ask(base, kind, **parameters):
    with urllib.request.urlopen(f"{base}/api/v1/{kind}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def name(target, labels):
    text = target.get("legendFormat", "")
    for label, value in labels.items():
        text = text.replace("{{%s}}" % label, value)
    return text or ", ".join(f"{label}={value}" for label, value in labels.items())


def number(value, unit):
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit == "Bps":
        for size, word in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")):
            if value >= size:
                return f"{value / size:.3g} {word}"
        return f"{value:.3g} B/s"
    return f"{value:.3g}"


class Drawing:
    def __init__(self, base, minutes):
        self.base, self.end = base, time.time()
        self.begin = self.end - minutes * 60

    def range(self, target):
        step = max(1, (self.end - self.begin) / POINTS)
        return ask(self.base, "query_range", query=filled(target), start=self.begin, end=self.end, step=step)

    def instant(self, target):
        return ask(self.base, "query", query=filled(target), time=self.end)

    def x(self, at, width):
        return (float(at) - self.begin) / (self.end - self.begin) * width

    def stat(self, panel, width, height):
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        parts = []
        for target in panel["targets"]:
            for series in self.instant(target):
                value = float(series["value"][1])
                colours = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
                back = STEPS.get(colours[-1], "#444") if colours else "none"
                label = name(target, series["metric"])
                parts.append(f'<rect width="{width}" height="{height}" fill="{back}"/>'
                             f'<text x="{width / 2}" y="{height / 2 + 12}" class="big">{value:g}</text>'
                             f'<text x="{width / 2}" y="{height - 8}" class="mid">{html.escape(label)}</text>')
        return "".join(parts[:1])

    def timeseries(self, panel, width, height):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        series = [(name(target, one["metric"]), one["values"]) for target in panel["targets"] for one in self.range(target)]
        most = max((float(value) for _, values in series for _, value in values if value != "NaN"), default=0) or 1
        left, bottom = 62, height - 34
        parts = []
        for share in (0, 0.5, 1):
            y = bottom - share * (bottom - 8)
            parts.append(f'<path d="M{left} {y}H{width}" class="grid"/><text x="{left - 6}" y="{y + 4}" class="axis">{number(most * share, unit)}</text>')
        for at, (_, values) in enumerate(series):
            path, before = "", None
            for when, value in values:
                jump = before is None or when - before > 3 * (self.end - self.begin) / POINTS
                path += f'{"M" if jump else "L"}{left + self.x(when, width - left):.1f} {bottom - float(value) / most * (bottom - 8):.1f}'
                before = when
            parts.append(f'<path d="{path}" fill="none" stroke="{COLOURS[at % len(COLOURS)]}" stroke-width="1.5"/>')
        return "".join(parts) + legend(series, height)

    def state_timeline(self, panel, width, height):
        mappings = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        rows = sorted((name(target, one["metric"]), one["values"]) for target in panel["targets"] for one in self.range(target))
        tall, left, parts = min(26, (height - 10) / max(1, len(rows))), 110, []
        for at, (label, values) in enumerate(rows):
            y = at * tall
            parts.append(f'<text x="{left - 8}" y="{y + tall / 2 + 4}" class="axis">{html.escape(label)}</text>')
            wide = (width - left) / POINTS + 0.6
            for when, value in values:
                colour = STEPS[mappings[value]["color"]]
                parts.append(f'<rect x="{left + self.x(when, width - left):.1f}" y="{y + 2}" width="{wide:.1f}" height="{tall - 4}" fill="{colour}"/>')
        return "".join(parts)

    def table(self, panel, width, height):
        rows = [one["metric"] for target in panel["targets"] for one in self.instant(target)]
        columns = ["instance", "tunnel", "forward"]
        lines = ["".join(f'<text x="{at * 240 + 8}" y="16" class="head">{column}</text>' for at, column in enumerate(columns))]
        for line, row in enumerate(rows):
            lines += [f'<text x="{at * 240 + 8}" y="{38 + line * 20}" class="cell">{html.escape(row.get(column, ""))}</text>' for at, column in enumerate(columns)]
        return "".join(lines)


def filled(target):
    query = target["expr"].replace("$__rate_interval", "1m")
    for variable in ("job", "instance", "tunnel"):
        query = query.replace(f'=~"${variable}"', '=~".*"')
    return query


def legend(series, height):
    parts, x = [], 62
    for at, (label, _) in enumerate(series):
        parts.append(f'<rect x="{x}" y="{height - 16}" width="12" height="3" fill="{COLOURS[at % len(COLOURS)]}"/>'
                     f'<text x="{x + 16}" y="{height - 10}" class="legend">{html.escape(label)}</text>')
        x += 30 + 7 * len(label)
    return "".join(parts)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("prometheus")
    arguments.add_argument("--minutes", type=float, default=60)
    options = arguments.parse_args()
    dashboard = json.loads((pathlib.Path(__file__).parent / "tunneld.json").read_text())
    drawing = Drawing(options.prometheus.rstrip("/"), options.minutes)
    panels = []
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
        draw = getattr(drawing, panel["type"].replace("-", "_"))
        panels.append(f'<g transform="translate({place["x"] * COLUMN + 20} {place["y"] * ROW + 60})"><rect width="{width}" height="{height}" rx="3" class="panel"/>'
                      f'<text x="10" y="20" class="title">{html.escape(panel["title"])}</text><svg x="6" y="30" width="{width - 12}" height="{height - 36}">{draw(panel, width - 12, height - 36)}</svg></g>')
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * ROW + 70
    print(f"""<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #111217; }} text {{ font: 12px sans-serif; fill: #ccccdc; }}
.panel {{ fill: #181b1f; stroke: #2c3235; }} .title, .head {{ font-weight: 600; }} .axis {{ text-anchor: end; fill: #9fa7b3; }}
.big {{ font-size: 34px; font-weight: 600; text-anchor: middle; fill: #fff; }} .mid {{ text-anchor: middle; fill: #fff; }}
.grid {{ stroke: #2c3235; }} .name {{ font-size: 20px; }}
</style><svg width="{24 * COLUMN + 40}" height="{bottom}"><text x="20" y="36" class="name">{html.escape(dashboard["title"])}</text>{"".join(panels)}</svg>""")


if __name__ == "__main__":
    main()
