// Ranks that meet: a socket between rank 0 and each other one, by a name that rank 0 made up.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace software {

// A name that nobody else has, at which this process listens from now on; empty where it cannot.
std::string listen_somewhere();

class Meeting {
public:
    // Meets the other ranks at `name`, where rank 0 listens. `met` tells whether all came.
    Meeting(const std::string& name, int size, int rank);
    ~Meeting();
    Meeting(const Meeting&) = delete;
    Meeting& operator=(const Meeting&) = delete;

    bool met() const { return met_; }
    int size() const { return static_cast<int>(sockets_.size()); }
    int rank() const { return rank_; }

    // What every rank brings, at rank 0 and in rank order; nothing elsewhere. All bring equally many bytes. An empty result at
    // rank 0 means that a rank is gone.
    std::vector<std::vector<char>> gather(const std::vector<char>& own);

    // What rank 0 says, everywhere; false where it is gone.
    bool broadcast(std::vector<char>& bytes);

    // Ends all of the above, from any thread.
    void leave();

private:
    int rank_;
    bool met_ = true;
    std::vector<int> sockets_;  // by rank; rank 0 has one to each other, the others one to it
};

}  // namespace software
