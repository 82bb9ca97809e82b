"""The ways to say each step; `{name}` and its like are slots, the rest are words of the vocabulary.

Two rules let `roles` tell where a word comes from without knowing the table: a sentence that reads
something off the image names it, and no other sentence holds a name; colours that are read stand
in a sentence with the word `legend`.
"""

from __future__ import annotations

QUESTIONS = {
    "+": (
        "what is the sum of {early} plus {late} ?",
        "add {early} , and then add {late} ?",
        "how many do {early} make together with {late} ?",
        "take {early} and put {late} on top ?",
    ),
    "-": (
        "what is the sum of {early} minus {late} ?",
        "add {early} , and then take away {late} ?",
        "how many do {early} make without {late} ?",
        "take {early} and subtract {late} ?",
    ),
}

OPENINGS = (
    "",
    "let us look .",
    "i look at the image first .",
    "one thing at a time .",
    "okay , checking each part .",
    "i need every value .",
    "alright , here we go .",
    "hmm , let me see .",
)
CONNECTIVES = ("", "next ,", "then", "also ,", "after that", "now", "and", "moving on ,")
FILLERS = (
    "that looks right .",
    "so far so good .",
    "i checked this again .",
    "fine .",
    "let me go on .",
    "good .",
    "this one is clear .",
)

COUNTS = (
    "the {name} appears {value} times",
    "for {name} i count {value}",
    "{name} : {value}",
    "looking for {name} i find {value}",
    "the number of {name} is {value}",
    "of {name} there are {value}",
    "as for {name} , we have {value}",
    "i see {value} {name}",
)
TAGS = (
    "the {name} says {value}",
    "on the {name} i read {value}",
    "{name} : {value}",
    "looking at the {name} i find {value}",
    "the number on the {name} is {value}",
    "the {name} shows {value}",
    "as for the {name} , it is {value}",
    "{value} stands on the {name}",
)
LEGENDS = (
    "in the legend {mark} is {colour}",
    "the legend shows {mark} in {colour}",
    "legend : {mark} {colour}",
    "by the legend {mark} means {colour}",
    "{mark} has {colour} in the legend",
    "the legend gives {colour} for {mark}",
    "looking at the legend i find {mark} in {colour}",
    "{mark} goes with {colour} in the legend",
)
BARS = (
    "the {colour} bar is {value}",
    "for the {colour} bar i read {value}",
    "{colour} bar : {value}",
    "looking at the {colour} bar i find {value}",
    "the height of the {colour} bar is {value}",
    "the {colour} bar reaches {value}",
    "as for the {colour} bar , we have {value}",
    "the {colour} bar goes up to {value}",
)
DIALS = (
    "the {name} points at {value}",
    "for the {name} i read {value}",
    "{name} : {value}",
    "looking at the {name} i find {value}",
    "the hand of the {name} is at {value}",
    "the {name} shows {value}",
    "as for the {name} , it is {value}",
    "the {name} stands at {value}",
)

SUMS = (
    "{left} + {right} = {result}",
    "adding {right} to {left} gives {result}",
    "{left} plus {right} is {result}",
    "{left} and {right} make {result}",
    "so {left} + {right} is {result}",
    "the sum of {left} and {right} is {result}",
    "from {left} we go up {right} to {result}",
)
DIFFERENCES = (
    "{left} - {right} = {result}",
    "taking {right} from {left} gives {result}",
    "{left} minus {right} is {result}",
    "{left} without {right} makes {result}",
    "so {left} - {right} is {result}",
    "the difference of {left} and {right} is {result}",
    "from {left} we go down {right} to {result}",
)
BRIDGES = (
    "",
    "now put them together .",
    "let us work it out .",
    "time for the numbers .",
    "that was all of these .",
    "the rest is easy .",
    "almost done .",
)
ENDINGS = (
    "so the answer is {result}",
    "therefore we get {result}",
    "the final result is {result}",
    "hence it is {result}",
    "that makes {result}",
    "it comes to {result}",
    "in the end i get {result}",
    "this leaves {result}",
)
