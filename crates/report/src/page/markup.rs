//! Texts of a page: Markdown by pulldown-cmark, with `{name}` for the figure or table of that name, and LaTeX in `$…$` and
//! `$$…$$`. HTML in a text is text, and so are images and links that are not plainly addresses: a page asks for nothing.

use super::mathematics::math;
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, TextMergeWithOffset, html};

/// Gives the HTML for `{name}`, or None where there is no such figure or table.
pub type Refer<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("refers to `{{{name}}}`, but the page has no figure or table of that name")]
    NoReference { name: String },
    #[error("has mathematics that cannot be read, `{formula}`: {message}")]
    Mathematics { formula: String, message: String },
}

impl TextError {
    /// The words of the text that are wrong.
    pub fn part(&self) -> String {
        match self {
            TextError::NoReference { name } => format!("{{{name}}}"),
            TextError::Mathematics { formula, .. } => formula.clone(),
        }
    }
}

/// Stands for `\{` while a text is parsed, so that an escaped brace is no reference.
const BRACE: &str = "\u{e000}";

/// The text as HTML blocks.
pub fn blocks(text: &str, refer: Refer) -> Result<String, TextError> {
    let text = text.replace("\\{", BRACE);
    let mut out = String::new();
    html::push_html(&mut out, events(&text, refer)?.into_iter());
    Ok(out)
}

/// The text of a heading or a caption: the marks inside a line. One that Markdown would take for a list, a heading or a
/// quotation is no such thing here and stands as it is written.
pub fn inline(text: &str, refer: Refer) -> Result<String, TextError> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\{", BRACE);
    let events = events(&text, refer)?;
    let inner = match &events[..] {
        [Event::Start(Tag::Paragraph), inner @ .., Event::End(TagEnd::Paragraph)] => inner.to_vec(),
        _ => referring(&text, refer)?,
    };
    let mut out = String::new();
    html::push_html(&mut out, inner.into_iter());
    Ok(out)
}

fn events<'a>(text: &'a str, refer: Refer) -> Result<Vec<Event<'a>>, TextError> {
    let parser = Parser::new_ext(text, Options::ENABLE_MATH).into_offset_iter();
    let mut parser = TextMergeWithOffset::new(parser);
    let mut out = Vec::new();
    let mut code = false;
    while let Some((event, range)) = parser.next() {
        let as_written = match &event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                !["https://", "http://", "mailto:", "#"].iter().any(|start| dest_url.starts_with(start))
            }
            event => matches!(event, Event::Start(Tag::Image { .. })),
        };
        match event {
            _ if as_written => {
                let mut depth = 1;
                while depth > 0 {
                    match parser.next() {
                        Some((Event::Start(_), _)) => depth += 1,
                        Some((Event::End(_), _)) => depth -= 1,
                        Some(_) => {}
                        None => break,
                    }
                }
                out.extend(referring(&text[range], refer)?);
            }
            Event::Text(text) if !code => out.extend(referring(&text, refer)?),
            Event::Text(text) => out.push(Event::Text(unbraced(&text, "\\{"))),
            Event::Code(text) => out.push(Event::Code(unbraced(&text, "\\{"))),
            Event::InlineMath(latex) | Event::DisplayMath(latex) => {
                let display = text[range.clone()].starts_with("$$");
                let formula = || unbraced(&text[range.clone()], "\\{").into_string();
                let html = math(&unbraced(&latex, "\\{"), display)
                    .map_err(|message| TextError::Mathematics { formula: formula(), message })?;
                out.push(Event::InlineHtml(html.into()));
            }
            Event::Html(text) | Event::InlineHtml(text) => out.extend(referring(&text, refer)?),
            Event::Start(Tag::HtmlBlock) => out.push(Event::Start(Tag::Paragraph)),
            Event::End(TagEnd::HtmlBlock) => out.push(Event::End(TagEnd::Paragraph)),
            // The sections of a page have the larger headings.
            Event::Start(Tag::Heading { .. }) => {
                let (id, classes, attrs) = (None, Vec::new(), Vec::new());
                out.push(Event::Start(Tag::Heading { level: HeadingLevel::H3, id, classes, attrs }));
            }
            Event::End(TagEnd::Heading(_)) => out.push(Event::End(TagEnd::Heading(HeadingLevel::H3))),
            Event::SoftBreak => out.push(Event::Text(" ".into())),
            event => {
                code = match event {
                    Event::Start(Tag::CodeBlock(_)) => true,
                    Event::End(TagEnd::CodeBlock) => false,
                    _ => code,
                };
                out.push(event);
            }
        }
    }
    Ok(out)
}

/// A piece of text with its references. Braces around what could be no name are text.
fn referring<'a>(text: &str, refer: Refer) -> Result<Vec<Event<'a>>, TextError> {
    let (mut out, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        plain.push_str(before);
        let name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        match after.split_once('}').filter(|(inside, _)| name(inside)) {
            Some((name, after)) => {
                let html = refer(name).ok_or_else(|| TextError::NoReference { name: name.to_owned() })?;
                out.push(Event::Text(unbraced(&std::mem::take(&mut plain), "{")));
                out.push(Event::InlineHtml(html.into()));
                rest = after;
            }
            None => {
                plain.push('{');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    out.push(Event::Text(unbraced(&plain, "{")));
    Ok(out)
}

fn unbraced<'a>(text: &str, brace: &str) -> CowStr<'a> {
    text.replace(BRACE, brace).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        blocks(text, &|name| (name == "law").then(|| "<a href=\"#law\">Figure 1</a>".into())).unwrap()
    }

    #[test]
    fn paragraphs_lists_and_marks() {
        assert_eq!(
            html("A **bold** and *slanted*\n`a<b` & {law}, {other one}.\n\n- one\n- two\n  more\n"),
            "<p>A <strong>bold</strong> and <em>slanted</em> <code>a&lt;b</code> &amp; <a href=\"#law\">Figure 1</a>, \
             {other one}.</p>\n<ul>\n<li>one</li>\n<li>two more</li>\n</ul>\n"
        );
        assert_eq!(
            html("[x](https://a.b/?c&d) [y](javascript:z)"),
            "<p><a href=\"https://a.b/?c&amp;d\">x</a> [y](javascript:z)</p>\n"
        );
        assert_eq!(html("2 * 3 * 4 \\*"), "<p>2 * 3 * 4 *</p>\n");
    }

    #[test]
    fn what_could_load_or_run_is_text() {
        assert_eq!(html("a <b onclick=x>b</b>"), "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n");
        assert_eq!(html("<script>x</script>\n"), "<p>&lt;script&gt;x&lt;/script&gt;\n</p>\n");
        assert_eq!(html("![x](https://a.b/c.png)"), "<p>![x](https://a.b/c.png)</p>\n");
        assert_eq!(
            html("<javascript:z> \\{law} `\\{` `{law}`"),
            "<p>&lt;javascript:z&gt; {law} <code>\\{</code> <code>{law}</code></p>\n"
        );
    }

    #[test]
    fn headings_and_captions_are_one_line() {
        let line = |text: &str| inline(text, &|name| (name == "law").then(|| "<a>1</a>".into())).unwrap();
        assert_eq!(line(" *a* &\n{law} "), "<em>a</em> &amp; <a>1</a>");
        assert_eq!(line("1. {law}"), "1. <a>1</a>");
        assert_eq!(line("- <i>"), "- &lt;i&gt;");
        assert_eq!(
            html("# Method\n1. one\n2. two"),
            "<h3>Method</h3>\n<ol>\n<li>one</li>\n<li>two</li>\n</ol>\n"
        );
    }

    #[test]
    fn mathematics() {
        let frac = "<mfrac><mi>a</mi><mi>b</mi></mfrac>";
        assert_eq!(html("is $\\frac{a}{b}$ so"), format!("<p>is <math>{frac}</math> so</p>\n"));
        assert_eq!(html("$$\\frac{a}{b}$$"), format!("<p><math display=\"block\">{frac}</math></p>\n"));
        assert!(html("$\\{a\\}$").contains("<mo stretchy=\"false\">{</mo>"), "{}", html("$\\{a\\}$"));
        let error = |text: &str| blocks(text, &|_| None).unwrap_err();
        let wrong = error("so $x$ and $\\nosuch\\{x\\}$");
        assert_eq!(wrong.part(), "$\\nosuch\\{x\\}$");
        assert!(wrong.to_string().ends_with("`$\\nosuch\\{x\\}$`: unknown command `\\nosuch`"), "{wrong}");
        assert_eq!(error("see {law}").part(), "{law}");
        assert_eq!(inline("see {law}", &|_| None), Err(TextError::NoReference { name: "law".into() }));
    }
}
