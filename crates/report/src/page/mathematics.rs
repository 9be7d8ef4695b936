//! Simple mathematics as HTML. Pages must not depend on a script or a font, so no TeX is brought along: letters, signs,
//! subscripts and superscripts are what captions need.

/// Text with HTML's special characters escaped.
fn escape(text: &str) -> String {
    maud::html!((text)).into_string()
}

/// Simple mathematics: `\gamma`, `x_i`, `x_{t-1}`, `e^{-A}`; letters are set in italics.
pub fn math(text: &str) -> String {
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

    #[test]
    fn what_is_not_mathematics_stays_harmless() {
        assert_eq!(math("a<b\\<&"), "<i>a</i>&lt;<i>b</i>&lt;&amp;");
        assert_eq!(math("x_{i^2}"), "<i>x</i><sub><i>i</i><sup>2</sup></sub>");
    }
}
