#pragma once
#include <retrace/nn/data/dataset.h>

#include <filesystem>
#include <memory>

namespace retrace {

/// CIFAR-10 in its binary form: 50,000 (10,000) colour images [3, 32, 32] of 10 classes.
///
/// `folder` holds data_batch_1.bin to data_batch_5.bin and test_batch.bin, itself or in the archive's own
/// folder `cifar-10-batches-bin`. A record is 1 label byte and 3072 bytes: red, green and blue plane, row by
/// row. The training files must hold their 10,000 records each; a test file may hold fewer. Throws IoError
/// for a missing file, FormatError for another size or a label outside the classes. Krizhevsky: "Learning
/// multiple layers of features from tiny images", 2009.
std::shared_ptr<ImageDataset> cifar10(const std::filesystem::path& folder, Split split);

/// CIFAR-100: as CIFAR-10, but with train.bin and test.bin (in `cifar-100-binary`), 100 classes, and 2 label
/// bytes a record, of which the second (the fine label) counts.
std::shared_ptr<ImageDataset> cifar100(const std::filesystem::path& folder, Split split);

}  // namespace retrace
