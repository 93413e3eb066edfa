// Several ranks as threads of one program, which talk through memory.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "cinch/cinch.hpp"

namespace cinch::testing {

class ThreadRanks {
 public:
  explicit ThreadRanks(int ranks) : ranks_(ranks) {}

  std::shared_ptr<Distribution> rank(int r) { return std::make_shared<One>(*this, r); }

  /// Calls f(rank) on a thread for each; what each threw, empty for nothing.
  std::vector<std::string> run(const std::function<void(std::shared_ptr<Distribution>)>& f) {
    std::vector<std::string> errors(static_cast<std::size_t>(ranks_));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks_; ++r) {
      threads.emplace_back([&, r] {
        try {
          f(rank(r));
        } catch (const std::exception& error) {
          errors[static_cast<std::size_t>(r)] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return errors;
  }

 private:
  using Bytes = std::vector<std::byte>;

  class One : public Distribution {
   public:
    One(ThreadRanks& all, int rank) : all_(all), rank_(rank) {}
    int rank() const override { return rank_; }
    int ranks() const override { return all_.ranks_; }
    void exchange(std::span<const Outgoing> out, std::span<const Incoming> in) override {
      std::unique_lock lock(all_.mutex_);
      for (const Outgoing& one : out)
        all_.mail_[{rank_, one.rank}].emplace_back(one.bytes.begin(), one.bytes.end());
      all_.changed_.notify_all();
      for (const Incoming& one : in) {
        std::deque<Bytes>& box = all_.mail_[{one.rank, rank_}];
        const bool came = all_.changed_.wait_for(
            lock, std::chrono::seconds(60), [&] { return !box.empty() || !all_.failure_.empty(); });
        if (!all_.failure_.empty()) throw Error("a rank has stopped: " + all_.failure_);
        if (!came || box.front().size() != one.bytes.size()) throw Error("a message is missing");
        std::ranges::copy(box.front(), one.bytes.begin());
        box.pop_front();
      }
    }
    void fail(const std::string& why) noexcept override {
      const std::scoped_lock lock(all_.mutex_);
      if (all_.failure_.empty()) all_.failure_ = why;
      all_.changed_.notify_all();
    }

   private:
    ThreadRanks& all_;
    int rank_;
  };

  int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<int, int>, std::deque<Bytes>> mail_;
  std::string failure_;
};

}  // namespace cinch::testing
