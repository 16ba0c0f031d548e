//! Which cards there are to use, and why others are not.

use std::env;

use vita_base::Report;
use vita_cuda::Error;
use vita_cuda::machine::Driver;

/// How many workplaces are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    One,
    Many,
}

/// What `CUDA_VISIBLE_DEVICES` says. Which cards it means is the driver's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// It is not set.
    All,
    /// It names some, so that somebody expects a card.
    Named,
    /// It says that no card is to be used.
    Nothing,
}

impl Visible {
    /// What this process was told.
    pub fn of_environment() -> Self {
        Self::of(env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
    }

    fn of(value: Option<&str>) -> Self {
        match value.map(str::trim) {
            None => Self::All,
            Some("" | "-1" | "NoDevFiles" | "none" | "void") => Self::Nothing,
            Some(_) => Self::Named,
        }
    }
}

/// The cards that can be used, and why others cannot.
pub struct Found<T> {
    pub cards: Vec<T>,
    /// What is not used, and why.
    refused: Vec<(String, Report)>,
}

/// Opens the first card that can be used, or all of them. That there is no driver is an ordinary answer.
pub fn find<T>(
    visible: Visible,
    open_driver: impl FnOnce() -> Result<Driver, Error>,
    workers: Workers,
    open: impl Fn(usize) -> Result<T, Report>,
) -> Found<T> {
    let mut found = Found { cards: Vec::new(), refused: Vec::new() };
    if visible == Visible::Nothing {
        tracing::debug!("CUDA_VISIBLE_DEVICES leaves no card");
        return found;
    }
    let driver = match open_driver() {
        Ok(driver) => driver,
        Err(error) => {
            let is_ordinary = match error {
                Error::NoDriver { .. } => true,
                Error::NoDevice => visible == Visible::All,
                _ => false,
            };
            if is_ordinary {
                tracing::debug!("{error}");
            } else {
                found.refused.push(("cards".to_owned(), error.into()));
            }
            return found;
        }
    };
    for index in 0..driver.device_count {
        match open(index) {
            Ok(card) => found.cards.push(card),
            Err(reason) => found.refused.push((format!("cuda:{index}"), reason)),
        }
        if workers == Workers::One && !found.cards.is_empty() {
            break;
        }
    }
    found
}

impl<T> Found<T> {
    /// A line for each card that is not used, or one for all that share the reason.
    pub fn warnings(&self) -> Vec<String> {
        let mut reasons: Vec<(&Report, Vec<&str>)> = Vec::new();
        for (name, reason) in &self.refused {
            match reasons.iter_mut().find(|(other, _)| other.message() == reason.message()) {
                Some((_, names)) => names.push(name),
                None => reasons.push((reason, vec![name])),
            }
        }
        let line = |(reason, names): &(&Report, Vec<&str>)| {
            let so = if self.cards.is_empty() {
                "networks work on the processor".to_owned()
            } else {
                format!("nothing works on {}", names.join(", "))
            };
            let hint = reason.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
            format!("{}, so {so}{hint}", reason.message())
        };
        reasons.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use vita_cuda::discover::{CudaVersion, Library};

    use super::*;

    const CUDA: CudaVersion = CudaVersion { major: 12, minor: 4 };

    fn driver(device_count: usize) -> Driver {
        Driver { path: "libcuda.so.1".into(), version: CUDA, device_count }
    }

    /// A card that cannot be opened, and why.
    type Broken = (usize, fn() -> Error);

    /// Looks for cards; those of `broken` cannot be opened. What is used, and what the user hears.
    fn check(
        visible: Option<&str>,
        driver: Result<Driver, Error>,
        broken: &[Broken],
        workers: Workers,
    ) -> (Vec<usize>, String) {
        let open = |index| match broken.iter().find(|(other, _)| *other == index) {
            Some((_, error)) => Err(Report::from(error())),
            None => Ok(index),
        };
        let found = find(Visible::of(visible), || driver, workers, open);
        let heard = found.warnings().join("\n");
        (found.cards, heard)
    }

    fn no_driver() -> Result<Driver, Error> {
        Err(Error::NoDriver { reason: "`libcuda.so.1` was not found".into() })
    }

    fn no_compiler() -> Error {
        Error::LibraryMissing { library: Library::Nvrtc, driver: Some(CUDA) }
    }

    fn too_old() -> Error {
        Error::DriverTooOld { library: Library::Nvrtc, found: CudaVersion { major: 13, minor: 0 }, driver: CUDA }
    }

    fn broken() -> Result<Driver, Error> {
        Err(Error::DriverBroken { reason: "driver and library differ".into() })
    }

    #[test]
    fn a_machine_without_a_card_is_nothing_to_talk_about() {
        for (visible, driver) in [
            (None, no_driver()),
            (Some("0"), no_driver()),
            (None, Err(Error::NoDevice)),
            (Some(""), Err(Error::NoDevice)),
            (Some("-1"), Err(Error::NoDevice)),
            // It is not even asked.
            (Some(""), broken()),
            (Some(""), Ok(self::driver(2))),
        ] {
            let name = format!("{visible:?}, {driver:?}");
            assert_eq!(check(visible, driver, &[], Workers::Many), (vec![], String::new()), "{name}");
        }
    }

    #[test]
    fn cards_that_work_are_used() {
        for (count, broken, workers, want, warned) in [
            (1, &[][..], Workers::One, &[0][..], ""),
            (3, &[], Workers::One, &[0], ""),
            (3, &[], Workers::Many, &[0, 1, 2], ""),
            (
                2,
                &[(0, no_compiler as fn() -> Error)],
                Workers::One,
                &[1],
                "NVRTC was not found, so nothing works on cuda:0",
            ),
            (4, &[(1, too_old), (3, too_old)], Workers::Many, &[0, 2], "CUDA 12.4, so nothing works on cuda:1, cuda:3"),
        ] {
            let (cards, text) = check(Some("2,0,1,3"), Ok(driver(count)), broken, workers);
            assert_eq!(cards, want);
            assert!(text.contains(warned) && text.lines().count() == broken.len().min(1), "{text}");
        }
    }

    #[test]
    fn cards_that_do_not_work_give_one_warning_with_its_hint() {
        let both = [(0, no_compiler as fn() -> Error), (1, no_compiler)];
        for (driver, unusable, want) in [
            (
                Ok(driver(2)),
                &both[..],
                "NVRTC was not found, so networks work on the processor; \
                 hint: run `pip install nvidia-cuda-nvrtc-cu12`",
            ),
            (
                Ok(driver(1)),
                &[(0, too_old as fn() -> Error)],
                "NVRTC 13.0 is newer than the driver, which supports CUDA 12.4, so networks work on the processor; \
                 hint: update the driver, or run `pip install nvidia-cuda-nvrtc-cu12`",
            ),
            (
                Err(Error::NoDevice),
                &[],
                "the NVIDIA driver sees no card, so networks work on the processor; hint: check `nvidia-smi` and \
                 CUDA_VISIBLE_DEVICES; without a card everything runs on the processor",
            ),
            (
                broken(),
                &[],
                "the NVIDIA driver does not start: driver and library differ, so networks work on the processor; \
                 hint: look at `nvidia-smi`; a driver that was updated works when the machine was started again",
            ),
        ] {
            assert_eq!(check(Some("0,1"), driver, unusable, Workers::Many), (vec![], want.to_owned()));
        }
    }
}
