"""How `metaworld-small` was made: `sides` names its sets and what each side of them judges, `recipe` trains it."""
