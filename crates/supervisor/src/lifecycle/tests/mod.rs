//! Sentences about the machine, its laws over random lives, and a second, simpler machine to compare it with.
