//! The manual pages of packaging/man, as tests read them. They are in mdoc(7), whose macros say what is an option, a key or a
//! variable.

pub(crate) const TUNNELD: &str = include_str!("../../../packaging/man/tunneld.8");
pub(crate) const CONFIG: &str = include_str!("../../../packaging/man/tunneld.toml.5");
pub(crate) const AUTOSSH: &str = include_str!("../../../packaging/man/tunneld-autossh.1");

/// The lines of a section, or of a subsection: what follows its title.
pub(crate) fn section<'a>(page: &'a str, title: &str) -> Vec<&'a str> {
    let lines =
        page.lines().skip_while(|line| ![format!(".Sh {title}"), format!(".Ss {title}")].iter().any(|t| t == line));
    let mut lines = lines.peekable();
    let marks: &[&str] = match lines.peek() {
        Some(line) if line.starts_with(".Sh") => &[".Sh "],
        _ => &[".Sh ", ".Ss "],
    };
    let section: Vec<&str> =
        lines.skip(1).take_while(|line| !marks.iter().any(|mark| line.starts_with(mark))).collect();
    assert!(!section.is_empty(), "no section {title}");
    section
}

/// What `.It` names by this macro, several with commas: `.It Cm host , hosts`.
pub(crate) fn items<'a>(lines: &[&'a str], name: &str) -> Vec<&'a str> {
    let heads = lines.iter().filter_map(|line| line.strip_prefix(&format!(".It {name} ")));
    heads.flat_map(|head| head.split_whitespace()).filter(|word| *word != ",").collect()
}

/// The texts between `.Bd -literal` and `.Ed`.
pub(crate) fn displays(lines: &[&str]) -> Vec<String> {
    let blocks =
        lines.split(|line| *line == ".Ed").map(|block| block.iter().skip_while(|line| !line.starts_with(".Bd")));
    blocks.map(|block| block.skip(1).copied().collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty()).collect()
}

/// What a section says about the key of this name, without the macros.
pub(crate) fn entry(page: &str, title: &str, name: &str) -> String {
    let lines = section(page, title);
    let is_head =
        |line: &&&str| line.strip_prefix(".It Cm ").is_some_and(|head| head.split(' ').any(|word| word == name));
    let at = lines.iter().position(|line| is_head(&line)).unwrap_or_else(|| panic!("no entry for {name}"));
    let text = lines[at + 1..].iter().take_while(|line| !line.starts_with(".It ") && !line.starts_with(".El"));
    let plain = text.map(|line| match line.strip_prefix('.').and_then(|line| line.split_once(' ')) {
        Some((_, text)) => text.trim_end_matches(" ."),
        None => line,
    });
    plain.collect::<Vec<_>>().join(" ")
}
