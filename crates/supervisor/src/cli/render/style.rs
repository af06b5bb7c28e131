//! How an answer may look: how wide its lines may be, and whether colours are shown.

/// What the reader's side takes. A pipe takes lines of any length, and no colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct OutputStyle {
    /// Columns of the terminal; `None`: lines are as long as they are.
    pub(in crate::cli) width: Option<usize>,
    pub(in crate::cli) style: ColourChoice,
}

impl OutputStyle {
    pub(in crate::cli) const PIPE: Self = Self { width: None, style: ColourChoice::Plain };
}

/// Whether the output takes colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum ColourChoice {
    Plain,
    Colour,
}

/// What a colour says; the words of the line say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    /// All is well.
    Good,
    /// On its way, or not wholly well.
    Warning,
    /// Waits for a person.
    Bad,
    /// Says nothing about health.
    Neutral,
}

impl Tone {
    /// The text in its colour.
    pub(super) fn paint(self, text: &str, style: ColourChoice) -> String {
        let code = match (style, self) {
            (ColourChoice::Plain, _) | (_, Self::Neutral) => return text.to_owned(),
            (ColourChoice::Colour, Self::Good) => "32",
            (ColourChoice::Colour, Self::Warning) => "33",
            (ColourChoice::Colour, Self::Bad) => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
