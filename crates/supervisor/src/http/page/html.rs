//! The page as HTML, complete without a script. Pure.

use tunnel_engine::words::is_unseen;

use super::live::PageModel;
use super::row::PageRow;

const INDEX: &str = include_str!("index.html");
const ROW: &str = include_str!("row.html");

pub(in crate::http) fn page(model: &PageModel) -> String {
    let rows: String = model.rows().map(row).collect();
    let template = row(&PageRow::default());
    fill(INDEX, |place, to| match place {
        "summary" => escape(model.summary(), to),
        "version" => escape(model.version(), to),
        "rows" => to.push_str(&rows),
        "template" => to.push_str(&template),
        _ => {}
    })
}

/// The places of a row are the fields of [`PageRow`], escaped: they may come from a server or a config.
fn row(row: &PageRow) -> String {
    let fields = serde_json::to_value(row).unwrap_or_default();
    fill(ROW, |place, to| escape(fields[place].as_str().unwrap_or_default(), to))
}

/// Has `write` fill in each `{{place}}`. What is filled in is not looked at for places again.
fn fill(template: &str, write: impl Fn(&str, &mut String)) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (place, after) = after.split_once("}}").unwrap_or((after, ""));
        write(place, &mut filled);
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
            c if is_unseen(c) && c != '\n' => to.push('\u{fffd}'),
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
