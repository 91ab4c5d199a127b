# draw_precision.awk: draws docs/curves-precision.svg from the logs of trainings in float32 and bfloat16:
#   awk -f tests/draw_precision.awk recipe-1-float32/log.jsonl recipe-1-bfloat16/log.jsonl ... char-3-bfloat16/log.jsonl
# Folders are called recipe or char, then the seed and the dtype. Above: val losses; below: bfloat16 less float32.
/"val_loss":/ {
    n = split(FILENAME, path, "/")
    split(path[n - 1], what, "-") # name, seed, dtype
    match($0, /"iter":[0-9]+/)
    at = substr($0, RSTART + 7, RLENGTH - 7) + 0
    match($0, /"val_loss":[-+.e0-9]+/)
    loss[what[1], what[2], what[3], at] = substr($0, RSTART + 11, RLENGTH - 11) + 0
    if (!((what[1], at) in seen)) step[what[1], ++steps[what[1]]] = at
    seen[what[1], at] = 1
}

function text(x, y, class, words) { printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, words }

# A panel's corner, size and ranges, in globals that px and py read; a frame, grid lines and their numbers.
function panel(x, y, height, from, to, parts, most, format, i, value) {
    left = x; top = y; high = height; low_y = from; high_y = to; last = most
    printf "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", left, top, top + high, left + WIDE
    for (i = 0; i <= parts; i++) {
        value = from + (to - from) * i / parts
        printf "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, py(value), left + WIDE
        text(left - 6, py(value) + 4, "right", sprintf(format, value))
    }
    for (i = 0; i <= 3; i++) text(px(most * i / 3), top + high + 16, "middle", most * i / 3)
}
function px(at) { return left + WIDE * at / last }
function py(value) { return top + high * (high_y - value) / (high_y - low_y) }

# One curve: val losses of a dtype, or with dtype "off" the difference in thousandths.
function curve(name, seed, dtype, i, at, value) {
    printf "<path class=\"s%d %s\" d=\"", seed, dtype
    for (i = 1; i <= steps[name]; i++) {
        at = step[name, i]
        value = dtype == "off" ? 1000 * (loss[name, seed, "bfloat16", at] - loss[name, seed, "float32", at]) \
                               : loss[name, seed, dtype, at]
        printf "%s%.1f %.1f", i == 1 ? "M" : "L", px(at), py(value)
    }
    print "\"/>"
}

function both(name, x, title, low, high, thousandths, seed, most) {
    most = step[name, steps[name]]
    text(x, 34, "title", title)
    panel(x, 50, 240, low, high, 3, most, "%.1f")
    for (seed = 1; seed <= 3; seed++) { curve(name, seed, "float32"); curve(name, seed, "bfloat16") }
    panel(x, 340, 90, -thousandths, thousandths, 2, most, "%.0f")
    for (seed = 1; seed <= 3; seed++) curve(name, seed, "off")
    text(x + WIDE / 2, 466, "middle", "steps")
}

END {
    WIDE = 380
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"curves\" viewBox=\"0 0 960 500\" role=\"img\">"
    print "<title>validation loss of two short trainings, three seeds each, in float32 and in bfloat16</title>"
    print "<style>"
    print ".curves{background:#fff;color:#1a1a1a;font:13px system-ui,sans-serif}.curves text{fill:currentColor}"
    print ".curves .title{font-size:15px;font-weight:600}.curves .middle{text-anchor:middle}.curves .right{text-anchor:end}"
    print ".curves path{fill:none;stroke:currentColor}.curves .grid{opacity:.15}"
    print ".curves .float32{stroke-width:4;opacity:.35}.curves .bfloat16{stroke-width:1.5;stroke-dasharray:6 3}.curves .off{stroke-width:1.5}"
    print ".curves .s1{stroke:#1f6fc9}.curves .s2{stroke:#2f8f4c}.curves .s3{stroke:#c2571a}"
    print "@media(prefers-color-scheme:dark){.curves{background:#14161a;color:#e6e6e6}.curves .s1{stroke:#6fb0ff}.curves .s2{stroke:#6fd68f}.curves .s3{stroke:#ff9d63}}"
    print "</style>"
    both("recipe", 60, "nanoGPT's CPU recipe, 240 steps", 2.2, 4.3, 1)
    both("char", 550, "6 layers, 384 channels, 60 steps", 2.2, 4.3, 3)
    text(60, 488, "", "Above val loss: broad float32, dashed bfloat16, seeds 1 blue, 2 green, 3 orange. Below: bfloat16 less float32, in thousandths.")
    print "</svg>"
}
