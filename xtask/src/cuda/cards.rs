//! Cards as cuDNN is told of them where there is none: one of each generation, from NVIDIA's data sheets and the table
//! of limits in the CUDA programming guide.

use serde_json::json;
use vita_cuda::Arch;

/// A card.
pub struct Card {
    pub name: &'static str,
    pub arch: Arch,
    processors: u32,
    /// Threads and blocks that one processor holds.
    threads: u32,
    blocks: u32,
    /// Shared memory of one processor.
    shared_kib: u32,
    cache_mib: u64,
    memory_gb: u64,
    /// Of the memory's bus.
    bus_bits: u32,
    clock_mhz: u32,
    memory_mhz: u32,
}

/// One of each generation that the kernels are compiled for, [`Arch::CHECKED`].
pub const CARDS: [Card; 6] = [
    Card {
        name: "NVIDIA A100",
        arch: Arch::SM_80,
        processors: 108,
        threads: 2048,
        blocks: 32,
        shared_kib: 164,
        cache_mib: 40,
        memory_gb: 80,
        bus_bits: 5120,
        clock_mhz: 1410,
        memory_mhz: 1593,
    },
    Card {
        name: "NVIDIA A10",
        arch: Arch::SM_86,
        processors: 72,
        threads: 1536,
        blocks: 16,
        shared_kib: 100,
        cache_mib: 6,
        memory_gb: 24,
        bus_bits: 384,
        clock_mhz: 1695,
        memory_mhz: 6251,
    },
    Card {
        name: "NVIDIA RTX 4090",
        arch: Arch::SM_89,
        processors: 128,
        threads: 1536,
        blocks: 24,
        shared_kib: 100,
        cache_mib: 72,
        memory_gb: 24,
        bus_bits: 384,
        clock_mhz: 2520,
        memory_mhz: 10501,
    },
    Card {
        name: "NVIDIA H200",
        arch: Arch::SM_90,
        processors: 132,
        threads: 2048,
        blocks: 32,
        shared_kib: 228,
        cache_mib: 60,
        memory_gb: 141,
        bus_bits: 6144,
        clock_mhz: 1980,
        memory_mhz: 3201,
    },
    Card {
        name: "NVIDIA B200",
        arch: Arch::SM_100,
        processors: 148,
        threads: 2048,
        blocks: 32,
        shared_kib: 228,
        cache_mib: 126,
        memory_gb: 180,
        bus_bits: 8192,
        clock_mhz: 1965,
        memory_mhz: 3996,
    },
    Card {
        name: "NVIDIA RTX 5090",
        arch: Arch::SM_120,
        processors: 170,
        threads: 1536,
        blocks: 24,
        shared_kib: 100,
        cache_mib: 96,
        memory_gb: 32,
        bus_bits: 512,
        clock_mhz: 2407,
        memory_mhz: 14001,
    },
];

impl Card {
    /// What `CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION` wants: yes and no are numbers, clocks are in kHz.
    pub fn json(&self) -> String {
        let shared = self.shared_kib << 10;
        // A block's own share is what the system does not keep.
        let shared_of_block = shared - 1024;
        json!({
            "version": 1,
            "deviceId": 0,
            "cudaDeviceId": 0,
            "deviceVer": self.arch.major * 100 + self.arch.minor * 10,
            "maxGridSize": [2_147_483_647, 65535, 65535],
            "maxBlockSize": [1024, 1024, 64],
            "regsPerBlock": 65536,
            "multiProcessorCount": self.processors,
            "smCountOrigin": 0,
            "warpSize": 32,
            "maxSharedMemoryPerBlock": 48 << 10,
            "maxSharedMemoryPerBlockOptin": shared_of_block,
            "oversizedSharedMemoryPerBlock": shared_of_block,
            "reservedSharedMemoryPerBlock": 1024,
            "maxRegistersPerSM": 65536,
            "maxCtasPerSM": self.blocks,
            "maxThreadsPerBlock": 1024,
            "maxThreadsPerSM": self.threads,
            "pciDeviceId": 0,
            "isTccDriver": 0,
            "supportCoopLaunch": 1,
            "smClockRateKHz": self.clock_mhz * 1000,
            "memClockRateKHz": self.memory_mhz * 1000,
            "memoryBusWidth": self.bus_bits,
            "l2CacheSize": self.cache_mib << 20,
            "totalGlobalMem": self.memory_gb * 1_000_000_000,
            "totalConstMem": 65536,
            "maxSharedMemoryPerSM": shared,
            "sharedMemPerMultiprocessor": shared,
            "driverVer": 13000,
            "deviceName": self.name,
        })
        .to_string()
    }
}
