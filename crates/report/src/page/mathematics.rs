//! Mathematics: LaTeX as MathML, which browsers draw without a script or a font of ours.

use math_core::{LatexToMathML, MathCoreConfig, MathDisplay};

/// A formula as a `math` element, in a line of its own if `display`; or what is wrong with it.
pub fn math(latex: &str, display: bool) -> Result<String, String> {
    let latex_to_math =
        LatexToMathML::new(MathCoreConfig::default()).map_err(|(error, ..)| plain(&error.to_string()))?;
    let display = if display { MathDisplay::Block } else { MathDisplay::Inline };
    let math =
        latex_to_math.convert_with_local_state(latex, display).map_err(|error| plain(&error.to_string()))?;
    Ok(math.mathml)
}

/// A message of the crate in our own style: lower case, names in backticks, no full stop.
fn plain(message: &str) -> String {
    let message = message.trim_end_matches('.').replace('"', "`");
    let mut chars = message.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_mathml() {
        assert_eq!(math("\\frac{a}{b}", false).unwrap(), "<math><mfrac><mi>a</mi><mi>b</mi></mfrac></math>");
        let sum = math("\\sum_{t=1}^{T} x_t^2", true).unwrap();
        assert!(sum.starts_with("<math display=\"block\"><munderover><mo"), "{sum}");
        assert_eq!(math("a<b", false).unwrap().matches("&lt;").count(), 1);
    }

    #[test]
    fn what_is_no_formula_says_why() {
        let error = |latex: &str| math(latex, false).unwrap_err();
        assert_eq!(error("\\nosuch{a}"), "unknown command `\\nosuch`");
        assert_eq!(error("\\frac{a}{b"), "expected closing token `}`, but reached end of input");
        assert_eq!(error("x_1_2"), "duplicate subscript or superscript");
        assert_eq!(
            error("\\href{javascript:x}{y}"),
            "unknown command `\\href`",
            "nothing that could be followed"
        );
    }
}
