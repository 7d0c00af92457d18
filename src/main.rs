//! The `brickyard` binary: parse, run, exit code.

fn main() -> std::process::ExitCode {
    brickyard::cli::main()
}
