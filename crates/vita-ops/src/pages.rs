//! Pages of mapped files, brought before they are needed.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use vita_tensor::Tensor;

/// Weights that are smaller are read where they are needed: to hand them to another thread would take longer.
const BYTES_MIN: usize = 1 << 20;

/// What the system is asked for at a time: of more it may read no more than its own window, 128 KiB by default.
const REQUEST_BYTES: usize = 128 << 10;

/// Has the pages of a weight read, where it lies in a mapped file, and returns. Weights come in the order in which they are
/// asked for, while this thread goes on.
pub(crate) fn read_ahead(weight: &Tensor) {
    static READER: OnceLock<Option<Sender<Tensor>>> = OnceLock::new();
    if weight.bytes().len() < BYTES_MIN {
        return;
    }
    let reader = READER.get_or_init(|| {
        let (sender, asked) = channel();
        // Without a thread for it, pages are read where they are needed.
        thread::Builder::new().name("read-ahead".into()).spawn(move || serve(&asked)).ok().map(|_| sender)
    });
    if let Some(reader) = reader {
        let _ = reader.send(weight.clone());
    }
}

/// Asks for the pages of all weights that are known, and waits for one weight's at a time.
fn serve(asked: &Receiver<Tensor>) {
    let mut coming: VecDeque<Tensor> = VecDeque::new();
    loop {
        let next = if coming.is_empty() { asked.recv().ok() } else { asked.try_recv().ok() };
        match (next, coming.is_empty()) {
            (Some(weight), _) => {
                ask(weight.bytes());
                coming.push_back(weight);
            }
            (None, false) => coming.pop_front().iter().for_each(|weight| touch(weight.bytes())),
            (None, true) => return,
        }
    }
}

/// Asks the system to read the pages that bytes lie in; it does so while this goes on. Bytes that lie in no file stay as
/// they are.
fn ask(bytes: &[u8]) {
    #[cfg(unix)]
    {
        use rustix::mm::{Advice, madvise};

        let page = page_bytes();
        let start = bytes.as_ptr().addr();
        let first = start - start % page;
        for offset in (0..start - first + bytes.len()).step_by(REQUEST_BYTES) {
            let length = REQUEST_BYTES.min(start - first + bytes.len() - offset);
            let from = bytes.as_ptr().wrapping_sub(start - first).wrapping_add(offset).cast_mut();
            // SAFETY: this advice changes no content, whatever lies at the address. A refusal leaves everything as it was.
            let _ = unsafe { madvise(from.cast(), length, Advice::WillNeed) };
        }
    }
    #[cfg(not(unix))]
    let _ = bytes;
}

/// Waits until the pages are there, and has them entered in the process's tables, which takes time of its own.
fn touch(bytes: &[u8]) {
    let sum = bytes.iter().step_by(page_bytes()).fold(0, |sum: u8, byte| sum ^ byte);
    std::hint::black_box(sum);
}

fn page_bytes() -> usize {
    #[cfg(unix)]
    return rustix::param::page_size();
    #[cfg(not(unix))]
    4096
}
