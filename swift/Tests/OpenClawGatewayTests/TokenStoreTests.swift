import Foundation
import XCTest

@testable import OpenClawGateway

/// The stores of device tokens.
final class TokenStoreTests: XCTestCase {
    private var folder = URL(fileURLWithPath: "/")

    override func setUpWithError() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    }

    override func tearDownWithError() throws {
        try? FileManager.default.removeItem(at: folder)
    }

    private var file: URL { folder.appendingPathComponent("identity/device-auth.json") }

    private func write(_ text: String) throws {
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    func testBothStoresKeepAndForget() async throws {
        for store in [MemoryTokenStore(), FileTokenStore(file)] as [any DeviceTokenStore] {
            let none = try await store.token(device: "d", role: "operator")
            XCTAssertNil(none)
            try await store.keep("one", device: "d", role: "operator", scopes: ["b", "a", "b"], nowMs: 1)
            try await store.keep("node's", device: "d", role: "node", scopes: [], nowMs: 1)
            try await store.keep("two", device: "d", role: "operator", scopes: [], nowMs: 2)
            // Somebody else has put another in its place.
            try await store.forget("one", device: "d", role: "operator")
            for (device, role, expected) in [
                ("d", "operator", "two"), ("d", "node", "node's"), ("d", "x", nil), ("other", "operator", nil),
            ] as [(String, String, String?)] {
                let token = try await store.token(device: device, role: role)
                XCTAssertEqual(token?.expose(), expected, "\(store) \(device) \(role)")
            }
            try await store.forget("two", device: "d", role: "operator")
            let gone = try await store.token(device: "d", role: "operator")
            XCTAssertNil(gone)
        }
    }

    func testTheFileIsTheOriginalClients() async throws {
        try write("{\"version\":1,\"deviceId\":\"d\",\"tokens\":{\"node\":{\"token\":\"t\",\"role\":\"node\",\"later\":1}}}")
        let store = FileTokenStore(file)
        let read = try await store.token(device: "d", role: "node")
        XCTAssertEqual(read, "t")
        try await store.keep("t2", device: "d", role: "node", scopes: ["b", "a", "b"], nowMs: 2)
        let content = try JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: file))
        let entry: JSONValue = ["token": "t2", "role": "node", "scopes": ["a", "b"], "updatedAtMs": 2, "later": 1]
        XCTAssertEqual(content, ["version": 1, "deviceId": "d", "tokens": ["node": entry]])
        let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
        XCTAssertEqual(mode, 0o600)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: file.deletingLastPathComponent().path).count, 1)
    }

    func testWhatIsNotOursCountsAsEmpty() async throws {
        let store = FileTokenStore(file)
        for text in [
            "", "[]", "{\"version\":2,\"deviceId\":\"d\",\"tokens\":{\"node\":{\"token\":\"t\"}}}",
            "{\"version\":1,\"tokens\":{\"node\":{\"token\":\"t\"}}}", "{\"version\":1,\"deviceId\":\"d\",\"tokens\":[]}",
            "{\"version\":1,\"deviceId\":\"d\",\"tokens\":{\"node\":\"t\"}}",
            "{\"version\":1,\"deviceId\":\"d\",\"tokens\":{\"node\":{\"token\":5}}}",
            "{\"version\":1,\"deviceId\":\"d\",\"tokens\":{\"node\":{\"token\":\"\"}}}",
        ] {
            try write(text)
            let token = try await store.token(device: "d", role: "node")
            XCTAssertNil(token, text)
            try await store.keep("t", device: "d", role: "node", scopes: [], nowMs: 1)
            let kept = try await store.token(device: "d", role: "node")
            XCTAssertEqual(kept, "t", text)
        }
    }

    func testAFileThatCannotBeReadIsAnError() async throws {
        try FileManager.default.createDirectory(at: file, withIntermediateDirectories: true)
        let store = FileTokenStore(file)
        _ = try await thrown { try await store.token(device: "d", role: "node") }
        _ = try await thrown { try await store.keep("t", device: "d", role: "node", scopes: [], nowMs: 1) }
    }
}
