//! The programs that build documents, and how they are kept from the clock, from paths and from what the user has set up.

use super::layout::{DOCUMENT, Layout};
use super::read;
use crate::command::find;
use crate::command::spawn::Program;
use crate::kind::context::Context;
use crate::kind::stage::{StageError, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Tectonic tells what it read.
const RULES: &str = "onsager-document.d";

/// What builds a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// latexmk with pdfLaTeX, and BibTeX where there is a `.bib` file.
    #[default]
    Latexmk,
    /// Tectonic, which brings the packages that it needs.
    Tectonic,
}

impl Engine {
    pub fn name(self) -> &'static str {
        match self {
            Engine::Latexmk => "latexmk",
            Engine::Tectonic => "tectonic",
        }
    }

    /// Whose versions are part of the result.
    pub fn tools(self) -> Vec<Tool> {
        // latexmk reads what users have set up for it unless it is told not to.
        let programs: &[(&str, &str)] = match self {
            Engine::Latexmk => &[("latexmk", "latexmk -norc --version"), ("pdflatex", "pdflatex --version")],
            Engine::Tectonic => &[("tectonic", "tectonic --version")],
        };
        programs.iter().map(|&(name, command)| Tool { name, command: command.to_owned() }).collect()
    }

    /// The call that builds the document in a folder.
    pub fn program(
        self,
        folder: &Path,
        layout: &Layout,
        seconds: i64,
        ctx: &Context,
    ) -> Result<Program, StageError> {
        let has_bibliography = layout.has("bib");
        let words: &[&str] = match self {
            Engine::Latexmk => &[
                "-norc",
                "-pdf",
                if has_bibliography { "-bibtex" } else { "-bibtex-" },
                "-interaction=nonstopmode",
                "-halt-on-error",
                "-file-line-error",
                "-recorder",
                "-latexoption=-no-shell-escape",
            ],
            Engine::Tectonic => &[
                "-X",
                "compile",
                "--untrusted",
                "--keep-logs",
                "--keep-intermediates",
                "--makefile-rules",
                RULES,
            ],
        };
        let last = format!("{DOCUMENT}.tex");
        let words = [self.name()].into_iter().chain(words.iter().copied()).chain([last.as_str()]);
        let env = environment(folder, seconds);
        let path = find::program(self.name().as_ref(), &env, ctx.root())?;
        let output = File::options().append(true).open(ctx.log())?;
        let arguments = words.map(OsString::from).collect();
        Ok(Program { path, arguments, env, folder: folder.to_owned(), output })
    }

    /// The files that were read.
    pub fn read(self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        match self {
            Engine::Latexmk => {
                let text = fs::read(folder.join(DOCUMENT).with_extension("fls"))?;
                Ok(read::recorded(&String::from_utf8_lossy(&text)))
            }
            Engine::Tectonic => {
                let text = fs::read(folder.join(RULES))?;
                Ok(read::ruled(&String::from_utf8_lossy(&text)))
            }
        }
    }

    /// The folders of what is installed, which any document may read.
    pub fn trees(self, ctx: &Context) -> Result<Vec<PathBuf>, StageError> {
        if self == Engine::Tectonic {
            return Ok(Vec::new());
        }
        let path = find::program("kpsewhich".as_ref(), &[], ctx.root())?;
        let ask = |question: &str| -> io::Result<Vec<PathBuf>> {
            let mut command = Command::new(&path);
            command.arg(question).envs(environment(Path::new("/nonexistent"), 0)).stdin(Stdio::null());
            let said = command.output()?.stdout;
            Ok(std::env::split_paths(String::from_utf8_lossy(&said).trim()).collect())
        };
        Ok([ask("-expand-path=$TEXMF")?, ask("-var-value=TEXMFROOT")?].concat())
    }
}

/// What TeX is told beside its inputs: nothing of the user's own, the time that it is to take for now, and lines as long as they are.
fn environment(folder: &Path, seconds: i64) -> Vec<(OsString, OsString)> {
    let fixed = [
        ("FORCE_SOURCE_DATE", "1"),
        ("TEXINPUTS", ""),
        ("BIBINPUTS", ""),
        ("BSTINPUTS", ""),
        ("TEXMFHOME", "/nonexistent"),
        ("max_print_line", "10000"),
        ("error_line", "254"),
        ("half_error_line", "238"),
    ];
    let mut env: Vec<(OsString, OsString)> =
        fixed.iter().map(|(name, value)| (name.into(), value.into())).collect();
    env.push(("SOURCE_DATE_EPOCH".into(), seconds.to_string().into()));
    // Fonts that are made on the way.
    env.push(("TEXMFVAR".into(), folder.join("texmf-var").into()));
    env.push(("TEXMFCONFIG".into(), folder.join("texmf-config").into()));
    env
}

/// Writes what TeX is started with: it keeps times, random names and paths out of the PDF, and reads the document.
pub fn wrap(folder: &Path) -> io::Result<()> {
    let text = "\\ifdefined\\pdfinfoomitdate\\pdfinfoomitdate=1 \\fi\n\
                \\ifdefined\\pdftrailerid\\pdftrailerid{}\\fi\n\
                \\ifdefined\\pdfsuppressptexinfo\\pdfsuppressptexinfo=-1 \\fi\n\
                \\input{main.tex}\n";
    fs::write(folder.join(DOCUMENT).with_extension("tex"), text)
}
