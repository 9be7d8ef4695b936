//! A small Markdown: paragraphs, lists, `###` headings, **bold**, *italic*, `code`, links, and simple mathematics in `$…$`.

/// Text with HTML's special characters escaped.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The text as HTML blocks. `refer` gives the HTML for `{name}`, or None to leave it as it stands.
pub fn blocks(text: &str, refer: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut list: Option<&str> = None;
    let flush = |out: &mut String, paragraph: &mut Vec<&str>| {
        if !paragraph.is_empty() {
            out.push_str(&format!("<p>{}</p>\n", inline(&paragraph.join(" "), refer)));
            paragraph.clear();
        }
    };
    let mut items: Vec<String> = Vec::new();
    let close = |out: &mut String, list: &mut Option<&str>, items: &mut Vec<String>| {
        if let Some(tag) = list.take() {
            let rows: String =
                items.drain(..).map(|item| format!("<li>{}</li>\n", inline(&item, refer))).collect();
            out.push_str(&format!("<{tag}>\n{rows}</{tag}>\n"));
        }
    };
    for line in text.lines() {
        let trimmed = line.trim();
        let numbered =
            trimmed.split_once(". ").filter(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
        let item = trimmed.strip_prefix("- ").or_else(|| trimmed.strip_prefix("* ")).map(|rest| ("ul", rest));
        match item.or(numbered.filter(|_| paragraph.is_empty()).map(|(_, rest)| ("ol", rest))) {
            Some((tag, rest)) => {
                flush(&mut out, &mut paragraph);
                if list != Some(tag) {
                    close(&mut out, &mut list, &mut items);
                    list = Some(tag);
                }
                items.push(rest.into());
            }
            None if trimmed.is_empty() => {
                flush(&mut out, &mut paragraph);
                close(&mut out, &mut list, &mut items);
            }
            None if trimmed.starts_with("### ") => {
                flush(&mut out, &mut paragraph);
                close(&mut out, &mut list, &mut items);
                out.push_str(&format!("<h3>{}</h3>\n", inline(&trimmed[4..], refer)));
            }
            // An indented line goes on with the item above it.
            None if list.is_some() && line.starts_with("  ") => {
                if let Some(last) = items.last_mut() {
                    last.push(' ');
                    last.push_str(trimmed);
                }
            }
            None => {
                close(&mut out, &mut list, &mut items);
                paragraph.push(trimmed);
            }
        }
    }
    flush(&mut out, &mut paragraph);
    close(&mut out, &mut list, &mut items);
    out
}

/// The marks inside a line.
pub fn inline(text: &str, refer: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '$', '[', '{', '\\']) {
        out.push_str(&escape(&rest[..at]));
        let here = &rest[at..];
        let span = |open: &str, shut: &str| -> Option<(String, usize)> {
            let body = here.strip_prefix(open)?;
            let end = body.find(shut).filter(|&end| end > 0)?;
            Some((body[..end].to_owned(), open.len() + end + shut.len()))
        };
        let found = if here.starts_with('`') {
            span("`", "`").map(|(body, n)| (format!("<code>{}</code>", escape(&body)), n))
        } else if here.starts_with("**") {
            span("**", "**").map(|(body, n)| (format!("<strong>{}</strong>", inline(&body, refer)), n))
        } else if here.starts_with('*') && !here[1..].starts_with(' ') {
            span("*", "*").map(|(body, n)| (format!("<em>{}</em>", inline(&body, refer)), n))
        } else if here.starts_with('$') {
            span("$", "$").map(|(body, n)| (format!("<span class=\"math\">{}</span>", math(&body)), n))
        } else if here.starts_with('[') {
            span("[", ")").and_then(|(body, n)| {
                let (label, address) = body.split_once("](")?;
                let safe =
                    ["https://", "http://", "mailto:", "#"].iter().any(|start| address.starts_with(start));
                safe.then(|| (format!("<a href=\"{}\">{}</a>", escape(address), inline(label, refer)), n))
            })
        } else if here.starts_with('{') {
            span("{", "}").and_then(|(body, n)| Some((refer(&body)?, n)))
        } else {
            let next = here[1..].chars().next().filter(|c| "`*$[{\\".contains(*c));
            next.map(|c| (escape(&c.to_string()), 1 + c.len_utf8()))
        };
        match found {
            Some((html, length)) => {
                out.push_str(&html);
                rest = &here[length..];
            }
            None => {
                out.push_str(&escape(&here[..1]));
                rest = &here[1..];
            }
        }
    }
    out.push_str(&escape(rest));
    out
}

/// Simple mathematics: `\gamma`, `x_i`, `x_{t-1}`, `e^{-A}`; letters are set in italics.
fn math(text: &str) -> String {
    const COMMANDS: &[(&str, &str)] = &[
        ("alpha", "α"),
        ("beta", "β"),
        ("gamma", "γ"),
        ("delta", "δ"),
        ("epsilon", "ε"),
        ("varepsilon", "ε"),
        ("theta", "θ"),
        ("kappa", "κ"),
        ("lambda", "λ"),
        ("mu", "μ"),
        ("nu", "ν"),
        ("pi", "π"),
        ("rho", "ρ"),
        ("sigma", "σ"),
        ("tau", "τ"),
        ("phi", "φ"),
        ("chi", "χ"),
        ("psi", "ψ"),
        ("omega", "ω"),
        ("Gamma", "Γ"),
        ("Delta", "Δ"),
        ("Theta", "Θ"),
        ("Lambda", "Λ"),
        ("Sigma", "Σ"),
        ("Phi", "Φ"),
        ("Psi", "Ψ"),
        ("Omega", "Ω"),
        ("hbar", "ħ"),
        ("ell", "ℓ"),
        ("nabla", "∇"),
        ("partial", "∂"),
        ("infty", "∞"),
        ("int", "∫"),
        ("sum", "Σ"),
        ("prod", "Π"),
        ("sqrt", "√"),
        ("cdot", "·"),
        ("times", "×"),
        ("pm", "±"),
        ("le", "≤"),
        ("ge", "≥"),
        ("ne", "≠"),
        ("approx", "≈"),
        ("sim", "∼"),
        ("propto", "∝"),
        ("to", "→"),
        ("in", "∈"),
        ("ll", "≪"),
        ("gg", "≫"),
        ("ln", "<span class=\"rm\">ln</span> "),
        ("exp", "<span class=\"rm\">exp</span> "),
        ("quad", "&emsp;"),
        (",", "&thinsp;"),
    ];
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut word = String::new();
                while let Some(letter) = chars.next_if(|next| next.is_ascii_alphabetic()) {
                    word.push(letter);
                }
                if word.is_empty() {
                    word.extend(chars.next());
                }
                let found = COMMANDS.iter().find(|(name, _)| *name == word);
                match found {
                    Some((_, sign)) => out.push_str(sign),
                    None => out.push_str(&escape(&word)),
                }
            }
            '_' | '^' => {
                let tag = if c == '_' { "sub" } else { "sup" };
                let mut body = String::new();
                match chars.next() {
                    Some('{') => {
                        let mut depth = 1;
                        for inner in chars.by_ref() {
                            depth += i32::from(inner == '{') - i32::from(inner == '}');
                            if depth == 0 {
                                break;
                            }
                            body.push(inner);
                        }
                    }
                    Some('\\') => {
                        body.push('\\');
                        while let Some(letter) = chars.next_if(|next| next.is_ascii_alphabetic()) {
                            body.push(letter);
                        }
                    }
                    other => body.extend(other),
                }
                out.push_str(&format!("<{tag}>{}</{tag}>", math(&body)));
            }
            '-' => out.push('−'),
            '{' | '}' => {}
            c if c.is_alphabetic() => out.push_str(&format!("<i>{c}</i>")),
            c => out.push_str(&escape(&c.to_string())),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        blocks(text, &|name| (name == "law").then(|| "<a href=\"#law\">Figure 1</a>".into()))
    }

    #[test]
    fn paragraphs_lists_and_marks() {
        assert_eq!(
            html("A **bold** and *slanted*\n`a<b` & {law}, {other}.\n\n- one\n- two\n  more\n"),
            "<p>A <strong>bold</strong> and <em>slanted</em> <code>a&lt;b</code> &amp; <a href=\"#law\">Figure 1</a>, \
             {other}.</p>\n<ul>\n<li>one</li>\n<li>two more</li>\n</ul>\n"
        );
        assert_eq!(
            html("[x](https://a.b/?c&d) [y](javascript:z)"),
            "<p><a href=\"https://a.b/?c&amp;d\">x</a> [y](javascript:z)</p>\n"
        );
        assert_eq!(html("2 * 3 * 4 \\*"), "<p>2 * 3 * 4 *</p>\n");
    }

    #[test]
    fn mathematics() {
        assert_eq!(
            html("$x_{t-1} e^{-\\gamma}$"),
            "<p><span class=\"math\"><i>x</i><sub><i>t</i>−1</sub> <i>e</i><sup>−γ</sup></span></p>\n"
        );
    }
}
