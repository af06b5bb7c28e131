//! The page as HTML, complete without a script. Pure.

use super::live::PageModel;
use super::row::PageRow;

const INDEX: &str = include_str!("index.html");
const ROW: &str = include_str!("row.html");

pub(in crate::http) fn page(model: &PageModel) -> String {
    let rows: String = model.rows().map(row).collect();
    fill(
        INDEX,
        &[
            ("summary", Filling::Text(model.summary())),
            ("version", Filling::Text(model.version())),
            ("rows", Filling::Html(&rows)),
            ("template", Filling::Html(&row(&PageRow::default()))),
        ],
    )
}

fn row(row: &PageRow) -> String {
    use Filling::Text;
    fill(
        ROW,
        &[
            ("name", Text(&row.name)),
            ("mood", Text(row.mood.as_str())),
            ("server", Text(&row.server)),
            ("state", Text(&row.state)),
            ("since", Text(&row.since)),
            ("cause", Text(&row.cause)),
            ("hint", Text(&row.hint)),
            ("next", Text(&row.next)),
            ("forwards", Text(&row.forwards)),
            ("forward_lines", Text(&row.forward_lines)),
            ("traffic", Text(&row.traffic)),
            ("ready", Text(&row.ready)),
            ("down", Text(&row.down)),
            ("ready_label", Text(&row.ready_label)),
            ("ready_text", Text(&row.ready_text)),
            ("rtt", Text(&row.rtt)),
            ("rtt_label", Text(&row.rtt_label)),
            ("rtt_text", Text(&row.rtt_text)),
            ("bytes", Text(&row.bytes)),
            ("bytes_label", Text(&row.bytes_label)),
            ("bytes_text", Text(&row.bytes_text)),
        ],
    )
}

enum Filling<'a> {
    /// Escaped: it may come from a server or a config.
    Text(&'a str),
    /// Made here.
    Html(&'a str),
}

/// Puts each filling into its `{{place}}`. What is filled in is not looked at for places again.
fn fill(template: &str, fillings: &[(&str, Filling<'_>)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (place, after) = after.split_once("}}").unwrap_or((after, ""));
        match fillings.iter().find(|(name, _)| *name == place) {
            Some((_, Filling::Text(text))) => escape(text, &mut filled),
            Some((_, Filling::Html(html))) => filled.push_str(html),
            None => {}
        }
        rest = after;
    }
    filled + rest
}

fn escape(text: &str, to: &mut String) {
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            // No text of ours has them; a browser would show some as what they are not.
            c if c.is_control() && c != '\n' => to.push('\u{fffd}'),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_servers_are_escaped_and_not_looked_at_again() {
        let evil = PageRow { cause: "<script>\"'&{{name}}\u{1b}[2J".into(), name: "db".into(), ..PageRow::default() };
        let html = row(&evil);
        assert!(html.contains("&lt;script&gt;&quot;&#39;&amp;{{name}}\u{fffd}[2J"), "{html}");
        assert!(!html.contains("<script"), "{html}");
    }

    #[test]
    fn every_place_is_filled_and_every_filling_has_a_place() {
        let row_fields = serde_json::to_value(PageRow::default()).unwrap();
        for field in row_fields.as_object().unwrap().keys() {
            assert!(ROW.contains(&format!("{{{{{field}}}}}")), "{field}");
        }
        assert!(!row(&PageRow::default()).contains("{{"));
    }

    #[test]
    fn page_loads_nothing_from_elsewhere_and_has_nothing_inline() {
        for text in [INDEX, ROW, include_str!("page.js"), include_str!("page.css")] {
            assert!(!text.contains("//cdn") && !text.contains("http:") && !text.contains("https:"), "{text}");
            assert!(!text.contains(" style=") && !text.contains(" onclick"), "{text}");
        }
        assert!(!include_str!("page.js").contains("innerHTML"));
    }
}
