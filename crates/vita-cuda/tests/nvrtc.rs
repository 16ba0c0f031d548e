//! Compiling with a real NVRTC and keeping what it makes. `NVRTC_FOLDER` names the folder of `libnvrtc.so.*`;
//! where neither it nor the system has one, the tests say so and pass.

use std::path::PathBuf;

use vita_cuda::compile::{Cache, CacheKey, Compiler, Source, Target, kernel_facts};
use vita_cuda::discover::Search;
use vita_cuda::{Arch, Error, ops};

fn compiler() -> Option<Compiler> {
    let folders = std::env::var_os("NVRTC_FOLDER").map(PathBuf::from).into_iter().collect();
    let search = Search { folders, system: true, ..Search::default() };
    match Compiler::open(&search, None) {
        Ok(compiler) => Some(compiler),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

#[test]
fn a_kernel_compiles_for_every_generation_and_says_what_it_takes() {
    let Some(compiler) = compiler() else { return };
    let variant = &ops::variants()[0];
    for arch in Arch::CHECKED {
        let code = compiler.compile(&variant.source, Target::Machine(arch)).unwrap();
        let facts = kernel_facts(&code).unwrap();
        assert_eq!(facts.len(), 1, "{arch}");
        assert_eq!(facts[0].name, variant.source.kernel);
        assert!((16..=255).contains(&facts[0].registers), "{arch}: {facts:?}");
        assert!(facts[0].code_bytes > 500 && facts[0].shared_bytes >= 48, "{arch}: {facts:?}");
    }
    // A generation the compiler has not heard of gets code for the newest before it.
    let text = compiler.compile(&variant.source, compiler.target(Arch { major: 99, minor: 0 })).unwrap();
    assert!(String::from_utf8(text).unwrap().contains(".entry layer_norm"));
}

#[test]
fn a_kernel_that_does_not_compile_says_where() {
    let Some(compiler) = compiler() else { return };
    let source = Source::new("broken", "extern \"C\" __global__ void broken(float* x) { x[0] = nothing; }");
    let Err(Error::Compile { kernel, target, log }) = compiler.compile(&source, Target::Machine(Arch::SM_90)) else {
        panic!("it compiled")
    };
    assert_eq!((kernel.as_str(), target.as_str()), ("broken", "sm_90a"));
    assert!(log.contains("kernel.cu(1)") && log.contains("nothing"), "{log}");
}

#[test]
fn what_was_compiled_is_kept_and_made_again_when_damaged() {
    let Some(compiler) = compiler() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("kernels"));
    let source = Source::new("set", "extern \"C\" __global__ void set(u32* x) { x[threadIdx.x] = 1; }");
    let target = Target::Machine(Arch::SM_86);
    let first = cache.compiled(&compiler, &source, target, None).unwrap();
    let key = CacheKey::new(&source, target, compiler.version(), None);
    assert_eq!(cache.read(&key).as_ref(), Some(&first));
    let file = std::fs::read_dir(folder.path().join("kernels")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "cut off").unwrap();
    assert_eq!(cache.read(&key), None);
    assert_eq!(cache.compiled(&compiler, &source, target, None).unwrap(), first);
    assert_eq!(cache.read(&key).as_ref(), Some(&first));
    // A folder that cannot be made costs the keeping alone.
    let nowhere = Cache::new(file.join("below a file"));
    assert_eq!(nowhere.compiled(&compiler, &source, target, None).unwrap(), first);
}
