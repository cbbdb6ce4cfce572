#pragma once
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

namespace retrace::detail {

/// Keeps one entry of a GuardStack until it is destroyed, which may happen in any order and on any thread.
class Guard {
 public:
  /// For GuardStack::push.
  explicit Guard(std::shared_ptr<std::atomic<bool>> ended) : ended_(std::move(ended)) {}
  Guard(Guard&&) = default;
  Guard& operator=(Guard&&) = delete;
  ~Guard() {
    if (ended_ != nullptr) *ended_ = true;
  }

 private:
  std::shared_ptr<std::atomic<bool>> ended_;
};

/// The values of one thread's guards of one kind. The innermost value is that of the guard made last, of
/// those that still exist: a guard that ends before one made after it changes nothing for the later one.
template <class T>
class GuardStack {
 public:
  /// Makes `value` the innermost one.
  [[nodiscard]] Guard push(T value) {
    std::erase_if(entries_, has_ended);
    const std::shared_ptr<Entry> entry = std::make_shared<Entry>(std::move(value));
    entries_.push_back(entry);
    return Guard({entry, &entry->ended});
  }

  /// The innermost value, or null.
  T* top() {
    while (!entries_.empty() && has_ended(entries_.back())) entries_.pop_back();
    return entries_.empty() ? nullptr : &entries_.back()->value;
  }

  /// Calls `visit(value)` from the innermost value outwards until it returns true; whether it did.
  template <class Visit>
  bool find(const Visit& visit) {
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
      if (!has_ended(*entry) && visit((*entry)->value)) return true;
    return false;
  }

 private:
  struct Entry {
    explicit Entry(T v) : value(std::move(v)) {}
    T value;
    std::atomic<bool> ended = false;
  };
  static bool has_ended(const std::shared_ptr<Entry>& entry) { return entry->ended; }

  std::vector<std::shared_ptr<Entry>> entries_;
};

}  // namespace retrace::detail
