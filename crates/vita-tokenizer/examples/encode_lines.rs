//! `encode_lines VOCABULARY`: a JSON list of texts on standard input, a JSON list of their ids on
//! standard output, the speed on standard error. For comparison with sentencepiece.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Read;
use std::time::Instant;

use vita_tokenizer::Tokenizer;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: encode_lines VOCABULARY < lines.json")?;
    let bytes = std::fs::read(&path)?;
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let lines: Vec<String> = serde_json::from_str(&input)?;

    let start = Instant::now();
    let tokenizer = Tokenizer::from_bytes(&bytes)?;
    let load_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let ids: Vec<Vec<u32>> = lines.iter().map(|line| tokenizer.encode(line)).collect();
    let encode_seconds = start.elapsed().as_secs_f64();

    let token_count: usize = ids.iter().map(Vec::len).sum();
    eprintln!("loaded in {:.1} ms, {:.0} tokens/s", load_seconds * 1e3, token_count as f64 / encode_seconds);
    println!("{}", serde_json::to_string(&ids)?);
    Ok(())
}
