//! The servers that are compared, each in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vita_base::Report;

use crate::program::{Program, free_port, serve_command};

/// Which server.
pub enum Which {
    /// `vitascope serve`.
    Ours {
        /// The program.
        binary: PathBuf,
    },
    /// ComfyUI on the CPU.
    Comfyui {
        /// Where its `main.py` is.
        folder: PathBuf,
        /// With its requirements.
        python: PathBuf,
    },
}

/// A running server.
pub struct Side<'a> {
    which: &'a Which,
    program: Program,
    folder: PathBuf,
}

impl Which {
    /// For the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ours { .. } => "ours",
            Self::Comfyui { .. } => "ComfyUI",
        }
    }

    fn launch(&self, folder: &Path) -> Result<Program, Report> {
        let (base, port) = (folder.join("base"), free_port()?);
        let command = match self {
            Self::Ours { binary } => {
                let mut command = serve_command(binary, &base, port);
                // What is accepted is on the disk before it is answered.
                command.arg("--durable");
                command
            }
            Self::Comfyui { folder, python } => {
                let mut command = Command::new(python);
                command.current_dir(folder).args(["main.py", "--cpu", "--port", &port.to_string()]);
                command.arg("--base-directory").arg(&base).args(["--database-url", "sqlite:///:memory:"]);
                command
            }
        };
        Program::start(command, port, &folder.join("log"))
    }
}

impl<'a> Side<'a> {
    /// Starts one in an empty folder below `scratch`. Returns how long it took to answer, too.
    ///
    /// The folder stays: where many files were deleted, ext4 is slow to create others for minutes.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(which: &'a Which, scratch: &Path) -> Result<(Self, Duration), Report> {
        let folder = tempfile::tempdir_in(scratch);
        let folder = folder.map_err(|error| Report::new(format!("no temporary folder: {error}")))?.keep();
        // ComfyUI does not start without it.
        let nodes = folder.join("base/custom_nodes");
        std::fs::create_dir_all(&nodes)
            .map_err(|error| Report::new(format!("cannot create `{}`: {error}", nodes.display())))?;
        let mut program = which.launch(&folder)?;
        let took = program.wait_until_ready()?;
        Ok((Self { which, program, folder }, took))
    }

    /// Ends it and starts it again in its folder. Returns how long it took to answer.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn restart(&mut self) -> Result<Duration, Report> {
        self.program.kill();
        self.program = self.which.launch(&self.folder)?;
        self.program.wait_until_ready()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.program.address()
    }

    /// Memory it has resident, in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.program.resident_bytes()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.program.kill();
    }
}
