import Foundation
import XCTest

/// A home directory with a configuration, in which real gateways run. The binary is named by
/// `OPENCLAW_GATEWAY_BIN`; without it the tests that need one are skipped.
struct GatewayHome {
    static let variable = "OPENCLAW_GATEWAY_BIN"

    /// The gateway's shared token.
    let token = UUID().uuidString
    let folder: URL
    /// Where gateways of this home listen.
    let port: UInt16
    private let binary: URL

    /// A home of its own. Skips the test where there is no binary.
    init() throws {
        guard let path = ProcessInfo.processInfo.environment[Self.variable], !path.isEmpty else {
            throw XCTSkip("\(Self.variable) does not name a gateway binary")
        }
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Unexpected(what: "\(Self.variable): \(path) is not there or cannot be run")
        }
        binary = URL(fileURLWithPath: path)
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("gateway-\(UUID().uuidString)")
        // Below the ports that systems hand out by themselves.
        port = UInt16.random(in: 20000...29999)
        let state = folder.appendingPathComponent(".openclaw")
        try FileManager.default.createDirectory(at: state, withIntermediateDirectories: true)
        let config = "{ gateway: { mode: 'local', auth: { token: '\(token)' } } }"
        try Data(config.utf8).write(to: state.appendingPathComponent("openclaw.json"))
    }

    var url: String { "ws://127.0.0.1:\(port)" }

    func remove() {
        try? FileManager.default.removeItem(at: folder)
    }

    /// Starts a gateway and waits until it listens.
    func start() async throws -> GatewayProcess {
        let process = Process()
        process.executableURL = binary
        process.arguments = ["gateway", "--port", String(port)]
        process.environment = ["HOME": folder.path, "PATH": "/usr/bin:/bin"]
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        let (ended, hasEnded) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in hasEnded.finish() }
        try await withCheckedThrowingContinuation { (listening: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread {
                // A process inherits which signals are blocked, and the threads of the pool block all.
                var none = sigset_t()
                sigemptyset(&none)
                pthread_sigmask(SIG_SETMASK, &none, nil)
                do { try process.run() } catch { return listening.resume(throwing: error) }
                let reader = output.fileHandleForReading
                var text = ""
                var isListening = false
                while true {
                    let data = reader.availableData
                    if data.isEmpty { break }
                    // Read to its end, since a full pipe would stop the gateway.
                    if isListening { continue }
                    text += String(decoding: data, as: UTF8.self)
                    if text.contains("listening on") {
                        isListening = true
                        listening.resume()
                    }
                }
                if !isListening { listening.resume(throwing: Unexpected(what: "the gateway ended: \(text)")) }
            }
        }
        return GatewayProcess(id: process.processIdentifier, ended: ended)
    }
}

/// A gateway that runs.
struct GatewayProcess {
    fileprivate let id: Int32
    fileprivate let ended: AsyncStream<Void>

    init(id: Int32, ended: AsyncStream<Void>) {
        self.id = id
        self.ended = ended
    }

    /// Ends it with a signal and waits until it has ended.
    func stop(_ signal: Int32 = SIGTERM) async {
        kill(id, signal)
        for await _ in ended {}
    }
}
