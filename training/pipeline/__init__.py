"""A whole retraining: a project's history in, a promoted adapter out, or the reasons why not.

`run` is the stages in their order, `data`, `learning` and `deciding` what they do, `board` tells how far it
is, `shelf` is where adapters are kept. What is told is `engine.retraining`.

What it is trained on. Comments of people and the starter adapter pull apart: trained on linters' messages,
the starter makes people's comments less likely than the base model does (5.6 nats a token against 4.7 and
4.9, two projects), so training never starts from it, nor from the champion, which would also let faults pile
up from run to run. Comments alone, on the other hand, make the model forget which line is meant (right line
first: 0.03 against the starter's 0.14). So each run starts from the base model, trains line scores and
comments together on the project's whole history, and mixes in starter data as replay where the settings name
a file of it (`retrain.replay`). No such data is shipped. Without it placement rests on the project's own
remarks, which is worth trying with thousands of them; the gate, which asks for the right line, is what says
no to the rest.
"""
