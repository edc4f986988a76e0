"""How answers are read and compared: what the task files share, by kind of answer."""
