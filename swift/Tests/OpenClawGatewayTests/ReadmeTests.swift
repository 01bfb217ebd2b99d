import Foundation
import XCTest

/// The README's code is that of ReadmeExample, which is compiled.
final class ReadmeTests: XCTestCase {
    func testItsCodeIsCompiled() throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let readme = here.deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("README.md")
        let example = try lines(of: here.appendingPathComponent("Support/ReadmeExample.swift")).joined(separator: "\n")
        var blocks: [[String]] = []
        var isInside = false
        for line in try lines(of: readme) {
            if line == "```swift" {
                isInside = true
                blocks.append([])
            } else if line == "```" {
                isInside = false
            } else if isInside {
                blocks[blocks.count - 1].append(line)
            }
        }
        XCTAssertGreaterThan(blocks.count, 2)
        for block in blocks {
            let text = block.joined(separator: "\n")
            XCTAssertTrue(example.contains(text), "not in ReadmeExample.swift:\n\(text)")
        }
    }

    /// Without their indentation.
    private func lines(of file: URL) throws -> [String] {
        try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }
}
