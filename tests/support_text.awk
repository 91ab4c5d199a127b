# support_text.awk: the text that tests train on: sentences by a small grammar out of word lists, the same bytes from every
# awk. Now and then comes a line of figures or of signs, so that all of printable ASCII occurs.
# usage: awk -v bytes=200000 -f tests/support_text.awk

# The next of n numbers from 0, by Lehmer's generator (16807 modulo 2^31 - 1): its products stay exact in an awk's doubles.
function draw(n) {
    state = state * 16807 % 2147483647
    return int(state / 2147483647 * n)
}
function one_of(list,   word, n) {
    n = split(list, word, ",")
    return word[1 + draw(n)]
}

# "the old lamp", "a sailor by the gate"
function thing(   s) {
    s = one_of("the,the,the,a,this,every,our,her")
    if (draw(3) == 0) s = s " " one_of("old,small,quiet,heavy,green,broken,warm,narrow,hidden,patient,silver,wet,yellow")
    s = s " " one_of("sailor,lamp,gardener,bridge,kettle,letter,cat,miller,clock,river,ladder,baker,window,map,fox,quilt," \
                     "judge,pigeon,wagon,violin,zebra,orchard,doctor,box")
    if (draw(6) == 0) s = s " " one_of("by,behind,above,under,near") " the " one_of("gate,well,stove,harbour,mill,hedge,stairs")
    return s
}
function action(   s) {
    if (draw(3) == 0) return one_of("sleeps,waits,sings,falls,grows cold,turns away,laughs,shines,does not move")
    return one_of("carries,finds,mends,watches,forgets,paints,follows,sells,wakes,hears,keeps,calls,weighs,questions") " " thing()
}
function clause(   s) {
    s = thing() " " action()
    if (draw(4) == 0) s = s " " one_of("before dawn,at noon,in the rain,for the third time,without a word,until the bell rings")
    return s
}
function sentence(   s, kind) {
    kind = draw(10)
    if (kind < 5) s = clause() "."
    else if (kind == 5) s = clause() ", " one_of("and,but,so,for,while,because") " " clause() "."
    else if (kind == 6) s = one_of("if,when,whenever,since,although") " " clause() ", " clause() "."
    else if (kind == 7) s = one_of("why,how often,since when") " is it that " clause() "?"
    else if (kind == 8) s = one_of("listen,look,enough") "! " clause() "; " clause() "."
    else return "\"" sentence() "\" says " thing() "."
    return toupper(substr(s, 1, 1)) substr(s, 2)
}
function figures(   s, i) {
    s = one_of("Bill,Order,Parcel,Voyage,Xerxes,Knot,Quay,Zone") " #" draw(1000) ": "
    for (i = draw(4); i >= 0; i--) s = s (1 + draw(99)) " x " (1 + draw(20)) "." draw(10) " + "
    return s (1 + draw(500)) " = " draw(100000) " (" draw(100) "%)"
}
function signs(   s, i) {
    for (i = 8 + draw(24); i > 0; i--) s = s sprintf("%c", 33 + draw(94))
    return s
}

BEGIN {
    state = 20251
    while (written < bytes) {
        if (draw(30) == 0) line = figures()
        else if (draw(60) == 0) line = signs()
        else {
            line = sentence()
            for (i = draw(4); i > 0; i--) line = line " " sentence()
        }
        line = substr(line "\n", 1, bytes - written)
        printf "%s", line
        written += length(line)
    }
}
