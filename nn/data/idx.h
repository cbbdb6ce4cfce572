#pragma once
#include <retrace/nn/data/dataset.h>

#include <filesystem>
#include <memory>

namespace retrace {

/// MNIST: 60,000 (10,000) handwritten digits [1, 28, 28] of 10 classes.
///
/// `folder` holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte, each plain or with `.gz`; an empty one means /usr/share/datasets/mnist. The number
/// and the size of the images are those in the files' headers. Throws IoError for a missing file; FormatError
/// for a wrong magic number, a size that is not what the header says, a corrupt gzip, images and labels that
/// differ in number, or a label outside the classes. LeCun, Bottou, Bengio, Haffner: "Gradient-based learning
/// applied to document recognition", 1998.
std::shared_ptr<ImageDataset> mnist(const std::filesystem::path& folder, Split split);

/// Fashion-MNIST: as MNIST, with articles of clothing; an empty folder means
/// /usr/share/datasets/fashion-mnist, which Debian's package dataset-fashion-mnist fills. Xiao, Rasul,
/// Vollgraf: "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms", 2017.
std::shared_ptr<ImageDataset> fashion_mnist(const std::filesystem::path& folder, Split split);

}  // namespace retrace
