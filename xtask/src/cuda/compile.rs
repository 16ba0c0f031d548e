//! Compiles every kernel for every generation of cards, where no card is: what does not compile, or keeps arrays in
//! slow memory, shows here.

use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;
use vita_base::Report;
use vita_cuda::compile::{Compiler, KernelFacts, Target, kernel_facts};
use vita_cuda::discover::Search;
use vita_cuda::ops::{Variant, variants};
use vita_cuda::{Arch, Error};

/// The chore's flags.
#[derive(Args)]
pub struct Arguments {
    /// Folder of `libnvrtc.so.*`, as in pip's `nvidia-cuda-nvrtc`; without it the system is asked.
    #[arg(long)]
    nvrtc: Option<PathBuf>,
    /// Compile only kernels whose title contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Compiles, and prints a line a kernel: registers of a thread for each generation, and the stack where there is one.
///
/// # Errors
/// If NVRTC is not there, or a kernel does not compile.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let folders = arguments.nvrtc.iter().cloned().collect();
    let compiler = Compiler::open(&Search { folders, system: true, ..Search::default() }, None)?;
    println!("NVRTC {} from {}", compiler.version(), compiler.found().path.display());
    let wanted: Vec<Variant> =
        variants().into_iter().filter(|variant| variant.source.title().contains(&arguments.only)).collect();
    let lines: Vec<Line> = wanted.par_iter().map(|variant| Line::compile(&compiler, variant)).collect();

    let heads: Vec<String> = Arch::CHECKED.iter().map(|arch| format!("{:>9}", arch.machine_code())).collect();
    println!("registers of a thread, + bytes of stack where there is one\n{}  kernel", heads.concat());
    lines.iter().for_each(|line| print!("{}", line.text));
    let failed: Vec<&Error> = lines.iter().flat_map(|line| &line.failed).collect();
    for error in &failed {
        eprintln!("{error}");
    }
    let with_stack = lines.iter().filter(|line| line.has_stack).count();
    let compiled: usize = lines.iter().map(|line| line.compiled).sum();
    println!("{compiled} compiled, {} failed; {with_stack} of {} kernels use a stack", failed.len(), lines.len());
    match failed.len() {
        0 => Ok(()),
        count => Err(Report::new(format!("{count} kernels did not compile"))),
    }
}

/// What is printed of one kernel.
struct Line {
    text: String,
    failed: Vec<Error>,
    compiled: usize,
    has_stack: bool,
}

impl Line {
    fn compile(compiler: &Compiler, variant: &Variant) -> Self {
        let mut failed = Vec::new();
        let facts: Vec<Option<Vec<KernelFacts>>> = Arch::CHECKED
            .into_iter()
            .map(|arch| {
                if !(variant.runs_on)(arch) {
                    return None;
                }
                match compiler.compile(&variant.source, Target::Machine(arch)) {
                    Ok(code) => Some(kernel_facts(&code).unwrap_or_default()),
                    Err(error) => {
                        failed.push(error);
                        None
                    }
                }
            })
            .collect();
        let mut text = String::new();
        for function in variant.functions {
            for facts in &facts {
                let of_function = facts.iter().flatten().find(|facts| facts.name == *function);
                let cell = of_function.map_or("-".into(), |facts| match facts.stack_bytes {
                    0 => facts.registers.to_string(),
                    stack => format!("{}+{stack}", facts.registers),
                });
                text.push_str(&format!("{cell:>9}"));
            }
            let title = variant.source.title();
            let others = title.split_once(' ').map_or("", |(_, set)| set);
            text.push_str(&format!("  {function} {others}\n"));
        }
        let all = || facts.iter().flatten().flatten();
        Self { text, failed, compiled: facts.iter().flatten().count(), has_stack: all().any(|f| f.stack_bytes > 0) }
    }
}
