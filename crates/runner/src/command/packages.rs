//! Where programs come from.

/// What to install where a program is not there, as Debian and its kin call it.
pub fn packages(program: &str) -> Option<&'static str> {
    match program {
        "latexmk" | "pdflatex" | "kpsewhich" => {
            Some("the packages `latexmk` and `texlive-latex-base` (on Debian and Ubuntu), or TeX Live")
        }
        "tectonic" => Some("Tectonic, which is one file: https://tectonic-typesetting.github.io"),
        _ => None,
    }
}
