use std::process::ExitCode;

fn main() -> ExitCode {
    onsager::cli::main(onsager::builtin())
}
