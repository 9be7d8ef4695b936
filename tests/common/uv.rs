//! uv, and projects with a lock file of it.

use super::{Project, first_on_path, ran};
use std::path::PathBuf;
use std::process::Command;

/// The folder that uv is in.
pub struct Uv(PathBuf);

impl Uv {
    /// Where `.ci/setup` puts it, or on PATH; none, and a line that says so, where there is none.
    pub fn found() -> Option<Uv> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain([cache.join("onsager-checks/bin")]);
        let found = folders.find(|folder| folder.join("uv").exists()).map(Uv);
        if found.is_none() {
            println!("skipped: there is no uv, which `.ci/setup` installs");
        }
        found
    }

    /// Lets a command find it, also beside what it finds already; nothing is fetched.
    pub fn within<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        first_on_path(command, &self.0).env("UV_OFFLINE", "1").env("UV_PYTHON_DOWNLOADS", "never")
    }

    /// Writes `code/pyproject.toml`, and `code/uv.lock` for it, which names no packages.
    pub fn lock(&self, project: &Project) {
        let text = "[project]\nname = \"app\"\nversion = \"0\"\nrequires-python = \">=3.8\"\ndependencies = []\n\n\
                    [tool.uv]\npackage = false\n";
        project.write("code/pyproject.toml", text);
        let mut command = Command::new(self.0.join("uv"));
        command.args(["lock", "--project"]).arg(project.path("code"));
        let locked = ran(self.within(&mut command).output().expect("uv starts"));
        assert_eq!(locked.status, 0, "{}", locked.stderr);
    }
}
