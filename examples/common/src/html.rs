//! The frame of every page, and the one place where text becomes HTML.

/// Text for any place between or inside the tags of these pages. Everything that comes from a visitor goes through here.
pub(crate) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}

/// A whole page around `body`, which is HTML. It needs nothing from elsewhere and runs no script.
pub(crate) fn page(framework: &str, title: &str, body: &str) -> String {
    let css = include_str!("style.css");
    let package = framework.to_lowercase();
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'">
<title>{title} · sessions on {framework}</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23c2701c'/%3E%3Ccircle cx='6' cy='6' r='1.3' fill='white'/%3E%3Ccircle cx='10' cy='9' r='1.3' fill='white'/%3E%3C/svg%3E">
<style>
{css}</style>
</head>
<body>
<header><a class="name" href="/">Sessions on {framework}</a><nav><a href="/">Home</a><a href="/private">Private page</a><a href="/login">Log in</a></nav></header>
<main>
{body}
</main>
<footer>The same pages run on four frameworks: <code>cargo run -p example-axum</code>, <code>-actix</code>, <code>-rocket</code>, <code>-warp</code>. This one is <code>examples/{package}/src/main.rs</code>.</footer>
</body>
</html>
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_visitor_types_is_markup() {
        assert_eq!(
            escape("<script>alert(\"1\" & '2')</script> ü 🍪"),
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt; ü 🍪"
        );
    }
}
