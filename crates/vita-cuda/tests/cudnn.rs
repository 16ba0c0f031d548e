//! cuDNN without a card: `CUDNN_FOLDER` names the folder of pip's `nvidia-cudnn-cu13`; without one these tests say so
//! and pass.

use std::path::PathBuf;

use vita_cuda::Error;
use vita_cuda::cudnn::{Planner, Sizes, Version};
use vita_cuda::discover::{Library, Origin, Search};
use vita_cuda::ops::Float;
use vita_cuda::report::Report;

fn search() -> Option<Search> {
    let Some(folder) = std::env::var_os("CUDNN_FOLDER") else {
        println!("skipped: CUDNN_FOLDER names no folder of cuDNN");
        return None;
    };
    Some(Search { folders: vec![PathBuf::from(folder)], ..Search::default() })
}

#[test]
fn it_is_found_and_says_its_version() {
    let Some(search) = search() else { return };
    let planner = Planner::open(&search, None).unwrap();
    assert!(planner.version() >= Version(91_301), "{}", planner.version());
    let report = Report::new(&search);
    let found = report.libraries.iter().find(|report| report.library == Library::Cudnn).unwrap().found.as_ref();
    let found = found.expect("cuDNN");
    assert_eq!((found.version, &found.origin), (Some(planner.version().short()), &Origin::Folder));
    assert!(report.to_string().contains(&format!("{}, {}", planner.version().short(), found.path.display())));
}

#[test]
fn what_it_does_not_understand_is_an_error_with_its_words() {
    let Some(search) = search() else { return };
    let planner = Planner::open(&search, None).unwrap();
    for card in ["", "{}", "no card", r#"{"version": 1, "deviceVer": 900}"#] {
        let error = planner.engines(card, &Sizes::dense(Float::Bf16, 12, 512, 512)).unwrap_err();
        let Error::LibraryRefused { library, status, name, .. } = &error else { panic!("{error}") };
        assert_eq!((*library, *status > 0), (Library::Cudnn, true));
        assert!(name.starts_with("CUDNN_STATUS_") && error.to_string().contains(name), "{error}");
    }
}
