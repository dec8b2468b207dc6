"""Cedar: the same charters, compiled to Cedar policies and decided in process (extra `cedar`).

`catalogue` and a charter go in; `compile` writes `policies` (`boundary`, `waiting`, by `clauses`
and `bounds`, quoted by `names`) against one `schema`; `handles` evaluates them; `request` turns an
input into a question, with `views` of its arguments, and `answer` turns what fits into a decision;
`library` keeps what is compiled, `sources` writes it down, and `point` is the port.
Does not write files, and does not read Rego.
"""
